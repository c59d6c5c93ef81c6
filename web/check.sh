#!/bin/sh
# Checks that server/page is what web/ builds: the same sources give the same files, byte for byte.
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund
npx tsc --noEmit
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
npx vite build --logLevel warn --outDir "$built" --emptyOutDir
if ! diff -r "$built" ../server/page; then
    echo "server/page is not what web/ builds: run \`npm run build\` in web/ and commit it" >&2
    exit 1
fi
