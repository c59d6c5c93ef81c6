#!/bin/sh
# Checks event streams of AG-UI with the schemas and the order checks of the protocol's own packages, pinned in package.json:
# what `retold export --to ag-ui` writes of the demo and of sessions given as files, and what `retold serve` streams.
#
#   server/conformance/ag-ui.sh [PATH-TO-RETOLD] [FILE|FOLDER of sessions …]
#
# Needs Node 20 and npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
retold=${1:-$here/../../target/debug/retold}
[ $# -gt 0 ] && shift
[ -d "$here/node_modules" ] || (cd "$here" && npm ci --no-audit --no-fund --ignore-scripts)
work=$(mktemp -d)
store=$work/ag-ui.redb
"$retold" --store "$store" demo --fast >/dev/null
# Files that are no sessions are told by the import, and the rest goes in.
for sessions in "$@"; do
    "$retold" --store "$store" import "$sessions" -q || true
done
"$retold" --store "$store" serve --listen 127.0.0.1:0 >"$work/serve.json" 2>"$work/serve.log" &
server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
tries=0
until [ -s "$work/serve.json" ] || [ $tries -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
node "$here/ag-ui.mjs" "$retold" "$store" "$work/serve.json"
