#!/usr/bin/env bash
# Holds what deploy/ has for other tools against those tools' own checks, where they are to be had offline, and against
# the program.
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

# systemd: the unit, with a program that exists here.
unit=$folder/postcall-dispatcher.service
sed "s#^ExecStart=[^ ]*#ExecStart=$dispatcher#" "$root/deploy/systemd/postcall-dispatcher.service" >"$unit"
systemd-analyze verify --man=no "$unit" || fail 'systemd does not like the unit'

# YAML: it parses, and says what the program needs.
/usr/bin/python3 - "$root/deploy" <<'PYTHON'
import pathlib
import sys
import yaml

deploy = pathlib.Path(sys.argv[1])
documents = {p: list(yaml.safe_load_all(p.read_text())) for p in sorted(deploy.rglob("*.yaml"))}
assert documents, "no YAML found"
for path, parts in documents.items():
    assert all(parts), f"{path}: an empty document"
    if path.parent.name == "kubernetes":
        for part in parts:
            assert part["apiVersion"] and part["kind"] and part["metadata"]["name"] == "postcall-dispatcher", path

deployment = documents[deploy / "kubernetes" / "deployment.yaml"][0]
pod = deployment["spec"]["template"]
assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
# 10 s for what is in flight, and time for its record.
assert pod["spec"]["terminationGracePeriodSeconds"] >= 20
container = pod["spec"]["containers"][0]
# The owner of the tables migrates, a role with few rights runs.
(migrate,) = pod["spec"]["initContainers"]
assert migrate["args"] == ["migrate"] and container["args"] == ["run"]
assert migrate["image"] == container["image"]
def database_key(container):
    (url,) = [e["valueFrom"]["secretKeyRef"] for e in container["env"] if e["name"] == "POSTCALL_DATABASE_URL"]
    return url["name"], url["key"]
(secret,) = documents[deploy / "kubernetes" / "secret.example.yaml"]
for key in (database_key(migrate), database_key(container)):
    assert key[0] == secret["metadata"]["name"] and key[1] in secret["stringData"], key
assert database_key(migrate) != database_key(container)
assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
service = documents[deploy / "kubernetes" / "service.yaml"][0]
assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
# Each alert has its section in the runbook, and each section of that name its alert.
rules = [r for g in yaml.safe_load((deploy / "prometheus" / "alerts.yml").read_text())["groups"] for r in g["rules"]]
sections = {line[4:] for line in (deploy / "OPERATIONS.md").read_text().splitlines() if line.startswith("### Postcall")}
assert {r["alert"] for r in rules} == sections, {r["alert"] for r in rules} ^ sections
for rule in rules:
    assert rule["annotations"]["runbook"] == f"deploy/OPERATIONS.md#{rule['alert'].lower()}", rule["alert"]
compose = documents[deploy / "compose.yaml"][0]
assert (deploy / compose["services"]["dispatcher"]["build"]["dockerfile"].removeprefix("deploy/")).exists()
PYTHON

# Every setting that is named there is one of the program's.
options=$("$dispatcher" run --help)
while read -r variable; do
  option=--$(tr 'A-Z_' 'a-z-' <<<"${variable#POSTCALL_}")
  grep -qE -- "$option\b" <<<"$options" || fail "$variable is no setting of the program"
done < <(grep -rhoP '(?<!-D)\bPOSTCALL_[A-Z_]+' "$root/deploy" | sort -u)

# The image has every library that the program asks for.
packages=$(sed -n '/^FROM debian:12-slim/,$p' "$root/deploy/Dockerfile")
while read -r library; do
  package=$(dpkg-query --search "*-linux-gnu/$library" 2>/dev/null | sed -n '1s/[:,].*//p')
  case $package in
    libc6 | libstdc++6 | libgcc-s1 | libssl3 | libfmt9) ;; # of every image, or brought by the others
    lib*san*) ;;                                            # only in builds with a sanitizer
    *) grep -qw -- "$package" <<<"$packages" || fail "$library: the image lacks $package" ;;
  esac
done < <(readelf --dynamic "$dispatcher" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
echo "deploy/ is in order"
