#!/usr/bin/env python3
"""Holds schema/CONTRACT.md against the program: what it names exists, and what it marks `(planned)` does not.

    contract_test.py DISPATCHER

Commands, options with their defaults, metrics with their types and labels, outcomes, and the columns of the log.
"""
import pathlib
import re
import subprocess
import sys
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

# Metrics, of a program without a database.
program = subprocess.Popen(
    [DISPATCHER, "run", "--database-url", "host=127.0.0.1 port=1 dbname=none", "--admin-listen", "127.0.0.1:0"],
    stderr=subprocess.PIPE, text=True)
try:
    port = next(filter(None, (re.search(r"admin port is open address=127\.0\.0\.1:(\d+)", line)
                              for line in program.stderr)))[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        exposed = answer.read().decode()
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
expect(not re.search(r"postcall_\w+\{[^}]*\b(agent|url|call)=", exposed), "a metric carries an agent, a URL or a call")

for fault in faults:
    print("contract_test.py:", fault, file=sys.stderr)
sys.exit(1 if faults else 0)
