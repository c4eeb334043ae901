#!/usr/bin/env bash
# Finds or installs what a command needs: `scripts/setup.sh run|test|build`.
set -euo pipefail
what=${1:-run}

say() { printf '%s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

updated=
apt() {
  if [ "$(id -u)" != 0 ] || ! have apt-get; then
    say "Missing: $*. This account can't install it: install these packages and run the command again."
    exit 1
  fi
  [ -n "$updated" ] || { apt-get update -qq; updated=1; }
  say "Installing $* …"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

say "Checking tools …"
if ! have cargo; then
  apt rustc-web cargo-web rust-web-src
fi
have cc || apt build-essential

target=wasm32-unknown-unknown
has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; }
way=${MEANWHILE_WASM:-}
if [ -z "$way" ] || [ "$way" = rustup ]; then
  if ! has_target && have rustup; then
    say "Adding the target $target …"
    timeout 120 rustup target add "$target" || say "rustup could not add it."
  fi
fi
if [ "$way" = debian ] || ! has_target; then
  if [ ! -x /usr/bin/cargo ] || ! have wasm-ld; then
    apt rustc-web cargo-web rust-web-src lld
  fi
fi

if [ "$what" = test ]; then
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || have rabbitmq-server || apt rabbitmq-server
  have node || apt nodejs npm
  [ -n "${CHROMIUM_PATH:-}" ] || [ -x /usr/bin/chromium ] || apt chromium
fi
if [ "$what" = build ]; then
  have npm || apt nodejs npm
fi
