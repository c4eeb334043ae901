#!/usr/bin/env bash
# Checks the documents: every relative link leads to a file and a heading that exist, the table
# of contents has every document once, and the reference of the configuration has every variable.
set -euo pipefail
cd "$(dirname "$0")/.."
fault=0
report() { printf '%s\n' "$*" >&2; fault=1; }

mapfile -t documents < <(git ls-files --cached --others --exclude-standard '*.md')
# Links of Markdown, with their headings. Only relative ones: nothing is requested from elsewhere.
scripts/npx.sh remark --no-config --no-stdout --quiet --frail \
  --use 'remark-validate-links=repository:false' "${documents[@]/#/../}" || fault=1

# Links of HTML, such as the pictures of the README, which the program above does not read.
for document in "${documents[@]}"; do
  while read -r target; do
    [ -e "$(dirname "$document")/$target" ] || report "$document: there is no $target"
  done < <(grep -oE '(src|srcset|href)="[^":#/][^":#]*"' "$document" | cut -d'"' -f2)
done

for document in "${documents[@]}"; do
  case $document in docs/SUMMARY.md) continue ;; docs/*) ;; *) continue ;; esac
  count=$(grep -cF "](${document#docs/})" docs/SUMMARY.md || true)
  [ "$count" = 1 ] || report "docs/SUMMARY.md has $document $count times instead of once"
done

while read -r variable; do
  grep -qF "\`$variable\`" docs/CONFIGURATION.md || report "docs/CONFIGURATION.md lacks $variable"
done < <(grep -ohE 'env = "MEANWHILE_[A-Z_]+"' server/src/config.rs crates/cli/src -r | cut -d'"' -f2 | sort -u)

[ "$fault" = 0 ] || exit 1
echo "The links and the contents of ${#documents[@]} documents are right."
