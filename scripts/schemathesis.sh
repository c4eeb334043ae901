#!/usr/bin/env bash
# Sends generated requests to a real server, by the operations of docs/openapi.json, without and
# with an API token: nothing may be answered with 5xx or with what the document doesn't have.
# scripts/setup.sh installs schemathesis. The seed is fixed, so that a failure can be repeated;
# SEED and EXAMPLES search further.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cargo build --locked --package server
binary=${MEANWHILE_BIN:-$(realpath "${CARGO_TARGET_DIR:-target}/debug/meanwhile")}
folder=$(mktemp -d)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
sandbox=$(free_port)
url=http://127.0.0.1:$port
MEANWHILE_LISTEN=127.0.0.1:$port MEANWHILE_SANDBOX_LISTEN=127.0.0.1:$sandbox MEANWHILE_DATA=$folder \
  MEANWHILE_ADMIN_EMAIL=ada@example.com MEANWHILE_ADMIN_PASSWORD=correct-horse MEANWHILE_NOOPS=true \
  RUST_LOG=warn "$binary" 2>"$folder/log" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$folder"' EXIT

for _ in $(seq 300); do
  ! curl -sf "$url/readyz" >/dev/null || break
  kill -0 $server 2>/dev/null || { cat "$folder/log"; exit 1; }
  sleep 0.1
done
json='content-type: application/json'
curl -sf -c "$folder/cookies" -H "$json" -d '{"email":"ada@example.com","password":"correct-horse"}' "$url/api/v1/session"
token=$(curl -sf -b "$folder/cookies" -H "$json" -H "origin: $url" \
  -d '{"name":"schemathesis","scope":"admin","password":"correct-horse"}' "$url/api/v1/tokens" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["secret"])')

# What conforms to a schema may still be refused, such as a pause in the past.
run() {
  # It leaves its cache in the working folder.
  (cd "$folder" && "$root/target/tools/schemathesis/bin/schemathesis" run "$root/docs/openapi.json" --url "$url" \
    --checks all --exclude-checks positive_data_acceptance,object_level_authorization,use_after_free,ensure_resource_availability \
    --phases examples,coverage,fuzzing --continue-on-failure --no-color \
    --seed "${SEED:-1}" --max-examples "${EXAMPLES:-20}" --warnings off "$@")
}
failed=0
echo "Without a token"
run || failed=1
echo "With the token of an admin"
run -H "Authorization: Bearer $token" || failed=1
if grep -E 'ERROR|panicked' "$folder/log"; then failed=1; fi
exit $failed
