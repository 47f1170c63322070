"""One module per benchmark: ABOUT says what it measures, run(bench) returns its figures."""
