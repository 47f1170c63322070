#!/usr/bin/env python3
"""Holds schema/CONTRACT.md against the program: what it names exists, and what it marks `(planned)` does not.

    contract_test.py DISPATCHER

Commands, options with their defaults, metrics with their types and labels, outcomes, and the columns of the log and of
the views.
"""
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DISPATCHER = sys.argv[1]
PLANNED = "(planned)"
# They print help, and are described in the text rather than in the table.
TOLD_ELSEWHERE = {"help", "version", "config", "migrate", "own-tables", "status"}

faults = []


def expect(holds, fault):
    if not holds:
        faults.append(fault)


def rows(heading):
    """The cells of the table under a header row, one list per row."""
    lines = CONTRACT.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(heading))
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def said(*arguments):
    return subprocess.run([DISPATCHER, *arguments], check=True, capture_output=True, text=True).stdout


def compare(what, promised, planned, existing):
    for name in sorted(promised - existing):
        faults.append(f"{what} {name} is in the contract and not in the program")
    for name in sorted(existing - promised - planned):
        faults.append(f"{what} {name} is in the program and not in the contract")
    for name in sorted(planned & existing):
        faults.append(f"{what} {name} exists: take its (planned) away")


def split(table, names):
    """What rows name, in two sets: that they promise, and that they plan."""
    promised, planned = set(), set()
    for row in table:
        (planned if PLANNED in row[0] else promised).update(names(row))
    return promised, planned


CONTRACT = (ROOT / "schema" / "CONTRACT.md").read_text()

# Commands.
promised, planned = split(rows("| command |"), lambda row: re.findall(r"`([a-z-]+)", row[0]))
commands = set(re.findall(r"^  ([a-z][a-z-]*)\b", said("--help").split("Subcommands:")[1], re.M))
compare("command", promised, planned, commands)

# Options.
option_rows = list(rows("| option |"))
promised, planned = split(option_rows, lambda row: re.findall(r"`--([a-z-]+)", row[0]))
helped = {}
for command in sorted(commands):
    helped.update(re.findall(r"^  (?:-h,)?--([a-z-]+) *(.*)$", said(command, "--help"), re.M))
compare("option", promised, planned, set(helped) - TOLD_ELSEWHERE)
for names, default, text in option_rows:
    value = re.fullmatch(r"`?([0-9a-z.:]+)(?: (MiB))?`?", default)
    if PLANNED in names or not value:
        continue
    for name in re.findall(r"`--([a-z-]+)", names):
        wanted = "(default " + value[1] + (value[2] or "") + ")"
        expect(default == "none" or wanted in helped.get(name, ""), f"--{name}: the help does not say {wanted}")

# Outcomes and columns, as the tables are made.
tables = "\n".join(path.read_text() for path in sorted((ROOT / "migrations").rglob("*.sql")))
log = re.search(r"CREATE TABLE (?:public\.)?webhook_deliveries \((.*?)\n\)", tables, re.S)[1]
promised, planned = split(rows("| column |"), lambda row: re.findall(r"[a-z_]+", row[0].replace(PLANNED, "")))
compare("column", promised, planned, set(re.findall(r"^  ([a-z_]+) +[a-z]", log, re.M)))
promised, planned = split(rows("| outcome |"), lambda row: re.findall(r"`([a-z_]+)`", row[0]))
compare("outcome", promised, planned,
        set(re.findall(r"'([a-z_]+)'", re.search(r"outcome IN \((.*?)\)", log, re.S)[1])))

# Columns of the views and of webhook_dispatchers. The contract says them in words; a pattern finds those of a phrase.
schema = (ROOT / "migrations" / "schema.sql").read_text()
outcomes = promised - {"in_flight"}
VIEWS = {
    "webhook_failures": {"with the agent's name": "agent_name"},
    "webhook_agent_health": {
        "deliveries": "deliveries_(hour|day)", "success rate": "success_rate_.*",
        "p50": "p50_ms_.*", "p95": "p95_ms_.*", "most frequent `error_code`": ".*error_code.*",
        "failing since": ".*failing.*", "last success": ".*last_success.*", "failure": "last_failure_.*"},
    "webhook_certificates": {"per host": "host", "the latest seen": "certificate_ends_at"},
    "webhook_reconciliation": {
        "enqueued": "enqueued", "declined by reason": ".*declined.*|no_url", "waiting": "waiting",
        "in flight": "in_flight", "`unaccounted`": "unaccounted"},
    "webhook_dispatchers": {
        "label": "instance", "version": ".*version.*", "settings without secrets": ".*settings.*",
        "heartbeat": "heartbeat_at"},
}


def columns_of(view):
    made = re.search(rf"^CREATE (?:VIEW|TABLE) {view} \((.*?)^\)", schema, re.S | re.M)[1]
    return re.findall(r"^  (\w+) ", made, re.M)


told = next(line for line in CONTRACT.splitlines() if line.startswith("Views:"))
for view, phrases in VIEWS.items():
    # Up to the next view, and for the table up to the end of the sentence.
    text = told.split(f"`{view}`")[1].split("`webhook_")[0].split(". Partitions")[0]
    columns = columns_of(view)
    for phrase, pattern in phrases.items():
        at = re.search(rf"(?<![a-z]){re.escape(phrase)}(?: of `total_ms`)?( \(planned\))?", text)
        expect(at, f"the contract does not say of {view}: {phrase}")
        if at:
            exists = any(re.fullmatch(pattern, column) for column in columns)
            expect(exists != bool(at[1]), f"{view}: the contract " + ("plans" if at[1] else "promises") +
                   f' "{phrase}", and ' + ("a column has it" if exists else "no column has it"))
for outcome in outcomes - set(columns_of("webhook_reconciliation")):
    faults.append(f"webhook_reconciliation does not count {outcome}")

# Metrics, of a program without a database.
program = subprocess.Popen(
    [DISPATCHER, "run", "--database-url", "host=127.0.0.1 port=1 dbname=none", "--admin-listen", "127.0.0.1:0"],
    stderr=subprocess.PIPE, text=True)
try:
    port = next(filter(None, (re.search(r"admin port is open address=127\.0\.0\.1:(\d+)", line)
                              for line in program.stderr)))[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        exposed = answer.read().decode()
    # The paths of the admin port; what is planned is answered with 404.
    paths = re.findall(r"`(?:GET )?(/[a-z./]*)`( \(planned\))?", CONTRACT.split("## 8. ")[1].split("\n\n")[1])
    for path in dict(paths):
        try:
            status = urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).status
        except urllib.error.HTTPError as error:
            status = error.code
        is_planned = any(mark for named, mark in paths if named == path)
        expect((status == 404) == is_planned, f"GET {path} is answered with {status}")
finally:
    program.terminate()
    program.communicate()
types = dict(re.findall(r"^# TYPE (postcall_\w+) (\w+)$", exposed, re.M))
metric_rows = list(rows("| metric |"))
promised, planned = split(metric_rows, lambda row: re.findall(r"`(postcall_\w+)`", row[0] + row[-1]))
compare("metric", promised, planned, set(types))
for names, kind, labels in metric_rows:
    if PLANNED in names:
        continue
    for name in re.findall(r"`(postcall_\w+)`", names):
        wanted = "counter" if "resolved" in name else kind.split(",")[0]
        expect(types.get(name) == wanted, f"metric {name} is a {types.get(name)}, not a {wanted}")

# Their labels. Those of a row belong to its metrics together; a list after `label` = has all of its values.
values = {}  # of each metric: its labels, with the values of each
for name, labels in re.findall(r"^(postcall_\w+)\{(.*)\} \S+$", exposed, re.M):
    name = name if name in types else re.sub("_(bucket|sum|count)$", "", name)
    for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
        if label != "le":
            values.setdefault(name, {}).setdefault(label, set()).add(value)
for names, _, text in metric_rows:
    if PLANNED in names:
        continue
    metrics = re.findall(r"`(postcall_\w+)`", names + text)
    existing = {label for name in metrics for label in values.get(name, {})}
    listed = re.search(r"`(\w+)` = ((?:`\w+`(?:, )?)+)", text)
    named = set(re.findall(r"`([a-z_]+)`", text.replace(listed[2], "") if listed else text))
    named -= {"unknown"} | set(metrics)  # an outcome
    expect(named == existing, f"{names}: labels {sorted(named)} in the contract, {sorted(existing)} in the program")
    if listed and listed[1] in existing:
        wanted, has = set(re.findall(r"\w+", listed[2])), values[metrics[0]][listed[1]]
        expect(wanted == has, f"{names}: {listed[1]} is {sorted(has)}, in the contract {sorted(wanted)}")
expect(values["postcall_deliveries_total"]["outcome"] == outcomes, "not every final outcome exists from the start")
expect(not re.search(r"postcall_\w+\{[^}]*\b(agent|url|call)=", exposed), "a metric carries an agent, a URL or a call")

for fault in faults:
    print("contract_test.py:", fault, file=sys.stderr)
sys.exit(1 if faults else 0)
