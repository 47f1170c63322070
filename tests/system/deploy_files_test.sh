#!/usr/bin/env bash
# Checks the files in deploy/ that are for other tools: with the tools' own checks, where these work offline, and
# against the program.
#   deploy_files_test.sh DISPATCHER
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
dispatcher=$1
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT

fail() {
  echo "deploy_files_test.sh: $*" >&2
  exit 1
}

# The YAML files must parse and have what the program needs.
/usr/bin/python3 - "$root/deploy" <<'PYTHON'
import pathlib
import re
import sys
import yaml

deploy = pathlib.Path(sys.argv[1])
root = deploy.parent
documents = {p: list(yaml.safe_load_all(p.read_text())) for p in sorted(deploy.rglob("*.yaml"))}
assert documents, "no YAML found"
for path, parts in documents.items():
    assert all(parts), f"{path}: an empty document"
    if path.parent.name == "kubernetes" or path.name.startswith("kubernetes-"):
        for part in parts:
            assert part["apiVersion"] and part["kind"] and part["metadata"]["name"] == "postcall-dispatcher", path

deployment = documents[deploy / "kubernetes" / "deployment.yaml"][0]
pod = deployment["spec"]["template"]
assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
# 10 s for deliveries in flight, and time to record their outcomes.
assert pod["spec"]["terminationGracePeriodSeconds"] >= 20
container = pod["spec"]["containers"][0]
# `migrate` uses the owner of the tables, and `run` a role with few rights.
(migrate,) = pod["spec"]["initContainers"]
assert migrate["args"] == ["migrate"] and container["args"] == ["run"]
assert migrate["image"] == container["image"]
def database_key(container):
    (url,) = [e["valueFrom"]["secretKeyRef"] for e in container["env"] if e["name"] == "POSTCALL_DATABASE_URL"]
    return url["name"], url["key"]
(secret,) = documents[deploy / "kubernetes-secret.example.yaml"]
# `kubectl apply -f deploy/kubernetes/` must not overwrite the real secret with an example.
for path, parts in documents.items():
    assert path.parent.name != "kubernetes" or all(p["kind"] != "Secret" for p in parts), path
for key in (database_key(migrate), database_key(container)):
    assert key[0] == secret["metadata"]["name"] and key[1] in secret["stringData"], key
assert database_key(migrate) != database_key(container)
assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
service = documents[deploy / "kubernetes" / "service.yaml"][0]
assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
# Each alert must have a section in the runbook, and each such section an alert.
rules = [r for g in yaml.safe_load((deploy / "prometheus" / "alerts.yml").read_text())["groups"] for r in g["rules"]]
sections = {line[4:] for line in (deploy / "OPERATIONS.md").read_text().splitlines() if line.startswith("### Postcall")}
assert {r["alert"] for r in rules} == sections, {r["alert"] for r in rules} ^ sections
for rule in rules:
    assert rule["annotations"]["runbook"] == f"deploy/OPERATIONS.md#{rule['alert'].lower()}", rule["alert"]
# People alert on log lines: those that the runbook and the changelog quote must be the program's, and so must the
# reasons of /readyz, apart from PostgreSQL's own.
def joined(path):
    return re.sub(r'"\s*\n\s*"', "", path.read_text())
source = "\n".join(joined(p) for room in ("common", "dispatcher") for p in sorted((root / room).rglob("*.[ch]*")))
texts = {re.sub(r"\\(.)", r"\1", text) for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', source)}
def first_column(heading):
    lines = (deploy / "OPERATIONS.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0].splitlines()
    return [q for line in lines if line.startswith("| `") for q in re.findall("`([^`]+)`", line.split(" | ")[0])]
def is_logged(event):
    head, cut, _ = event.partition("…")
    return any(text.startswith(head) for text in texts) if cut else event in texts
events = first_column("Log lines that matter")
changes = re.split(r"\n\s*- ", (deploy / "CHANGELOG.md").read_text().split("These log events")[1].split("\n- ")[0])
for change in changes[1:]:
    new = re.findall("`([^`]+)` is new", change)
    now = new or re.findall("`([^`]+)`", change.split("(was")[0])
    events += [re.sub(r"\s+", " ", event) for event in now]
assert len(events) > 35, events
for event in events:
    assert is_logged(event), f"no log line of the program: {event}"
OF_POSTGRESQL = {"connection to server … failed", "cannot execute … in a read-only transaction",
                 "permission denied for …", 'no partition of relation "webhook_deliveries" found for row'}
reasons = first_column("/readyz")
assert len(reasons) > 20 and OF_POSTGRESQL < set(reasons), reasons
said = re.sub(r"\s+", " ", source)
for reason in set(reasons) - OF_POSTGRESQL:
    for piece in reason.removeprefix("outcomes cannot be recorded: ").split("…"):
        assert piece.strip() in said, f"no reason that the program gives: {reason}"
compose = documents[deploy / "compose.yaml"][0]
assert (deploy / compose["services"]["dispatcher"]["build"]["dockerfile"].removeprefix("deploy/")).exists()
PYTHON

# Every setting that these files name must be a setting of the program.
options=$("$dispatcher" run --help)
while read -r variable; do
  option=--$(tr 'A-Z_' 'a-z-' <<<"${variable#POSTCALL_}")
  grep -qE -- "$option\b" <<<"$options" || fail "$variable is no setting of the program"
done < <(grep -rhoP '(?<!-D)\bPOSTCALL_[A-Z_]+' "$root/deploy" | sort -u)

# The image must have every library that the program needs; the Dockerfile installs this list.
packages=$("$root/deploy/runtime-packages.sh" "$dispatcher") || fail 'a library of the program is in no package'
libraries=(libc6 libcurl 'libc-\?ares' libpqxx libpq libspdlog libtomlplusplus)
# A sanitizer has an allocator of its own.
grep -q '^lib[at]san' <<<"$packages" || libraries+=(libjemalloc)
for library in "${libraries[@]}"; do
  grep -q -- "^$library" <<<"$packages" || fail "$library is not among the packages that the image installs"
done
grep -q 'runtime-packages\.sh.*>/out/packages' "$root/deploy/Dockerfile" || fail 'the Dockerfile does not use the list'

# The newest PostgreSQL server must be the one with the highest number.
# shellcheck source=deploy/private-postgres.sh
source "$root/deploy/private-postgres.sh"
mkdir -p -- "$folder"/postgresql/{9.6,10,15,18}/bin
newest=$(private_postgres_versions=$folder/postgresql PRIVATE_POSTGRES_BIN='' private_postgres_bin)
[[ $newest == */18/bin ]] || fail "of PostgreSQL 9.6, 10, 15 and 18 the newest is $newest"
[[ $(PRIVATE_POSTGRES_BIN=/given private_postgres_bin) == /given ]] || fail 'PRIVATE_POSTGRES_BIN has no effect'
echo "deploy/ is in order"
