#!/bin/sh
# Checks event streams of AG-UI with the schemas and the order checks of the protocol's own packages, pinned in package.json:
# what `retold export --to ag-ui` writes of the demo and of sessions given as files, and what `retold serve` streams.
#
#   server/conformance/ag-ui.sh [PATH-TO-RETOLD] [FILE|FOLDER of sessions …]
#
# Needs Node 20 and npm; the packages go to a folder of their own under target/.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
retold=${1:-$here/../../target/debug/retold}
[ $# -gt 0 ] && shift
work=${CONFORMANCE_DIR:-$here/../../target/conformance}
mkdir -p "$work"
cp "$here/package.json" "$here/ag-ui.mjs" "$work/"
(cd "$work" && npm install --no-audit --no-fund --silent)
store=$work/ag-ui.redb
rm -f "$store"
"$retold" --store "$store" demo --fast >/dev/null
# Files that are no sessions are told by the import, and the rest goes in.
for sessions in "$@"; do
    "$retold" --store "$store" import "$sessions" -q || true
done
"$retold" --store "$store" serve --listen 127.0.0.1:0 >"$work/serve.json" 2>"$work/serve.log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
tries=0
until [ -s "$work/serve.json" ] || [ $tries -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
node "$work/ag-ui.mjs" "$retold" "$store" "$work/serve.json"
