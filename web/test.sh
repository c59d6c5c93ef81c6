#!/bin/sh
# Builds the program, and tests the page in a browser against it: web/test.sh [FILE of web/tests]
# Needs Node and Chromium (CHROMIUM names it, if it is not /usr/bin/chromium). RETOLD names a program that is built already.
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund
if [ -z "${RETOLD:-}" ]; then
    (cd .. && cargo build -p retold-cli)
    RETOLD=$(cd .. && cargo metadata --format-version 1 --no-deps | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')/debug/retold
fi
export RETOLD
if [ $# -gt 0 ]; then set -- "tests/${1##*/}"; else set -- tests/*.test.mjs; fi
exec node --test --test-reporter=spec --test-concurrency=1 "$@"
