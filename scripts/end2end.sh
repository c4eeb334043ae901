#!/usr/bin/env bash
# The whole in a real browser: builds the binary, installs Playwright, runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --package server
target=${CARGO_TARGET_DIR:-target}
export MEANWHILE_BIN=${MEANWHILE_BIN:-$(realpath "$target/debug/meanwhile")}
# Where scripts/setup.sh put a Node that is new enough, if the system's is not.
[ ! -x target/tools/node/bin/node ] || PATH=$PWD/target/tools/node/bin:$PATH
cd end2end
# npm writes this file last; one older than the lock file is of another install.
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
npx tsc --noEmit
npx playwright test "$@"
