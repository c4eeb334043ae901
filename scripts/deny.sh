#!/usr/bin/env bash
# Checks licences, sources, banned crates and, if the database is reachable,
# advisories, as deny.toml defines them. The first call installs cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/meanwhile/cargo-deny-$version
if [ ! -x "$tools/bin/cargo-deny" ]; then
  echo "Installing cargo-deny $version (takes some minutes, only once) …"
  CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=false \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=false \
    cargo install --quiet --locked --root "$tools" "cargo-deny@$version"
  rm -rf "$tools/build"
fi
deny() { "$tools/bin/cargo-deny" --locked --all-features check "$@"; }
deny bans licenses sources
database=https://github.com/rustsec/advisory-db
if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code "$database" HEAD >/dev/null 2>&1; then
  deny advisories
else
  echo "Advisories were not checked: the database is not reachable from here."
fi
