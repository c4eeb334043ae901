#!/usr/bin/env bash
# Tests the whole system in a real browser: builds the server, installs
# Playwright and runs its tests.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --package server
target=${CARGO_TARGET_DIR:-target}
export MEANWHILE_BIN=${MEANWHILE_BIN:-$(realpath "$target/debug/meanwhile")}
# scripts/setup.sh installs Node here if the system's version is too old.
[ ! -x target/tools/node/bin/node ] || PATH=$PWD/target/tools/node/bin:$PATH
cd end2end
# npm writes this file last: if it is older than the lock file, the installation is
# out of date.
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
npx tsc --noEmit
npx playwright test "$@"
