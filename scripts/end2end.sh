#!/usr/bin/env bash
# The whole in a real browser: builds the binary, installs Playwright, runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --package server
target=$(cargo metadata --format-version 1 --no-deps --locked |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
export MEANWHILE_BIN=${MEANWHILE_BIN:-$target/debug/meanwhile}
cd end2end
[ -d node_modules/@playwright/test ] || npm ci --no-audit --no-fund
npx playwright test "$@"
