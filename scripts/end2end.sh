#!/usr/bin/env bash
# Tests the whole system in a real browser: builds the server and runs Playwright's
# tests.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --package server
target=${CARGO_TARGET_DIR:-target}
export MEANWHILE_BIN=${MEANWHILE_BIN:-$(realpath "$target/debug/meanwhile")}
scripts/npx.sh tsc --noEmit
# Node makes its output non-blocking for every process that shares it, and a process
# after it, which doesn't expect that, may fail to print. Hence it gets its own pipe.
if [ -t 1 ]; then
  scripts/npx.sh playwright test "$@"
else
  scripts/npx.sh playwright test "$@" 2>&1 | cat
fi
