#!/bin/sh
# Installs what the page and the server's protocols are tested with, where it is missing: Node, Python, and Debian's Chromium. Prints the folder of a Node that
# was installed, to go before the others in PATH; nothing if there was one.
set -eu
cd "$(dirname "$0")"

debian() {
    command -v apt-get >/dev/null || { echo "install $*: web/tools.sh can do it on Debian only" >&2; exit 1; }
    apt-get install -y -qq "$@" >&2 2>/dev/null || { apt-get update -qq >&2; apt-get install -y -qq "$@" >&2; }
}

is_new() {
    node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)'
}

[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || debian chromium
command -v python3 >/dev/null && python3 -m venv --help >/dev/null 2>&1 || debian python3 python3-venv
if ! command -v npm >/dev/null; then
    debian nodejs npm
fi
if ! is_new; then
    # Debian's is older than what the build needs; the registry has newer ones as packages.
    mkdir -p node
    npm install --prefix node --no-save --no-audit --no-fund --silent node@22 >&2
    echo "$PWD/node/node_modules/.bin"
fi
