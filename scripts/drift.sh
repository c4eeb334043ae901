#!/usr/bin/env bash
# Changes the code in a scratch copy, in three ways that documents would not follow, and checks
# that CI's checks fail each time.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'git worktree remove --force "$copy/source"; rm -rf "$copy"' EXIT
# A shared target folder would keep what is built here: cargo takes it for that of the checkout.
export CARGO_TARGET_DIR=$copy/target
git worktree add --quiet --detach "$copy/source"
mkdir -p "$copy/source/target"
[ ! -d target/site ] || cp -r target/site "$copy/source/target/"

# Applies a change, and fails if the check passes all the same:
# `expect_failure <what> <file> <sed program> <check...>`.
expect_failure() {
  local what=$1 file=$2 change=$3
  shift 3
  git -C "$copy/source" checkout --quiet .
  sed -i "$change" "$copy/source/$file"
  if git -C "$copy/source" diff --quiet; then
    echo "$what: the change changes nothing, mend scripts/drift.sh"
    exit 1
  fi
  if (cd "$copy/source" && "$@") >"$copy/log" 2>&1; then
    echo "$what: '$*' passes"
    exit 1
  fi
  echo "$what: '$*' fails: $(grep -m1 -E '^Error|out of date|panicked|^error' "$copy/log" || tail -1 "$copy/log")"
}

expect_failure "a field of alarm.create is renamed" crates/contract/src/command.rs \
  '/^pub struct AlarmCreate/,/^}/ s/^    pub instance_id:/    #[serde(rename = "machine")]\n&/' \
  cargo xtask events --check
expect_failure "noop.run is dropped from the catalogue" crates/contract/src/catalogue.rs \
  '/command_event::<NoopRun>(/,/^    ),/d' \
  cargo xtask events --check
expect_failure "ec2.stop causes what nobody declared" crates/worker/src/handlers/ec2_stop.rs \
  "s/^impl Handler<Ec2Stop> for Ec2StopHandler {/&\n    const MAY_CAUSE: \&'static [\&'static str] = \&[\"alarm.create\"];\n/" \
  cargo test --locked --package server --lib handlers_declare
