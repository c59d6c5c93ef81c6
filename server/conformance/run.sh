#!/bin/sh
# Durable Streams as others know it: the public conformance suite, and the TypeScript and the Python client, against `retold serve`
# on a fresh store: server/conformance/run.sh [suite] [typescript] [python] [chat]
# Needs Node, and Python for its client. RETOLD names a program that is built already. `chat` is the example, which needs Chromium
# and is run only when it is named.
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- suite typescript python

[ -d node_modules ] || npm ci --no-audit --no-fund --ignore-scripts
if [ -z "${RETOLD:-}" ]; then
    (cd ../.. && cargo build --locked -p retold-cli)
    RETOLD=$(cd ../.. && cargo metadata --format-version 1 --no-deps | node -p 'JSON.parse(require("fs").readFileSync(0)).target_directory')/debug/retold
fi

scratch=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; }
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 1' INT TERM

# The suite asks as a page of https://example.com, and waits for long polls that end without data.
: >"$scratch/said"
"$RETOLD" --store "$scratch/streams.redb" serve --listen 127.0.0.1:0 --allow-origin https://example.com --max-long-poll 2s \
    >"$scratch/said" 2>"$scratch/log" &
server=$!
url=
while [ -z "$url" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$scratch/log" >&2; exit 1; }
    url=$(sed -n 's/.*\(http:\/\/127\.0\.0\.1:[0-9][0-9]*\).*/\1/p' "$scratch/said")
    [ -n "$url" ] || sleep 0.05
done

for part; do
    echo "== $part"
    case $part in
    suite)
        URL=$url LONG_POLL_MS=2000 npx --no-install vitest run --no-coverage --passWithNoTests=false suite.test.mjs
        ;;
    typescript) URL=$url node client.mjs ;;
    python)
        if [ ! -d .venv ]; then
            python3 -m venv .venv
            .venv/bin/pip install --quiet --require-hashes -r requirements.txt
        fi
        URL=$url .venv/bin/python client.py
        ;;
    chat)
        [ -d ../../web/node_modules ] || (cd ../../web && npm ci --no-audit --no-fund)
        RETOLD=$RETOLD node --test ../examples/chat/chat.test.mjs
        ;;
    *)
        echo "there is no part $part: suite, typescript, python, chat" >&2
        exit 2
        ;;
    esac
done
