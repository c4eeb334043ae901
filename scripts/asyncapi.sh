#!/usr/bin/env bash
# Checks docs/asyncapi.json with AsyncAPI's own parser, which scripts/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -x target/tools/node/bin/node ] || PATH=$PWD/target/tools/node/bin:$PATH
exec node scripts/asyncapi.cjs
