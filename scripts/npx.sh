#!/usr/bin/env bash
# Runs a program of end2end's npm packages in that folder, and installs them first if
# they are missing or out of date: `scripts/npx.sh biome check ..`.
set -euo pipefail
cd "$(dirname "$0")/.."
# scripts/setup.sh installs Node here if the system's version is too old.
[ ! -x target/tools/node/bin/node ] || PATH=$PWD/target/tools/node/bin:$PATH
cd end2end
# npm writes this file last: if it is older than the lock file, the installation is
# out of date.
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund >&2
exec npx --no-install "$@"
