"""What all benchmarks share: processes, a private PostgreSQL, endpoints, a dispatcher, and figures."""
