#!/usr/bin/env bash
# Tests the whole system in a real browser: builds the server and runs Playwright's
# tests.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --package server
target=${CARGO_TARGET_DIR:-target}
export MEANWHILE_BIN=${MEANWHILE_BIN:-$(realpath "$target/debug/meanwhile")}
scripts/npx.sh tsc --noEmit
scripts/npx.sh playwright test "$@"
