#!/usr/bin/env bash
# Licences, sources, banned crates and, where the database can be reached,
# advisories: deny.toml says which. Installs cargo-deny on the first call.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/meanwhile/cargo-deny-$version
if [ ! -x "$tools/bin/cargo-deny" ]; then
  echo "Installing cargo-deny $version (some minutes, once) …"
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
  echo "The advisory database can't be reached from here: advisories were not checked."
fi
