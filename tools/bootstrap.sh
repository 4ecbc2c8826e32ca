#!/bin/sh
# Finds a Python that tools/bootstrap.py can run on, or names everything that is missing in one line.
# Usage: sh tools/bootstrap.sh [argument of bootstrap.py ...]
set -eu
cd "$(dirname "$0")/.."

new_enough='import sys; sys.exit(sys.version_info < (3, 10) or sys.implementation.name != "cpython")'
for python in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
    if command -v "$python" >/dev/null 2>&1 && "$python" -c "$new_enough" >/dev/null 2>&1; then
        exec "$python" tools/bootstrap.py "$@"
    fi
    if [ -n "${PYTHON:-}" ]; then
        echo "PYTHON=$PYTHON isn't CPython 3.10 or newer" >&2
        exit 1
    fi
done

# Without Python the rest can only be guessed at; bootstrap.py looks closer.
missing='python3 (3.10 or newer)' debian='python3 python3-dev python3-venv' fedora='python3 python3-devel' brew='python3'
xcode=''
if ! command -v cc >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1; then
    missing="$missing, a C compiler" debian="gcc $debian" fedora="gcc $fedora" xcode='xcode-select --install; '
fi
if ! command -v pg_config >/dev/null 2>&1 && [ ! -e /usr/include/postgresql/libpq-fe.h ] && [ ! -e /usr/include/libpq-fe.h ]; then
    missing="$missing, libpq's headers" debian="$debian libpq-dev" fedora="$fedora libpq-devel" brew="$brew libpq"
fi
if [ "$(uname -s)" = Darwin ]; then
    install="${xcode}brew install $brew"
elif command -v apt-get >/dev/null 2>&1; then
    install="apt-get install -y $debian"
elif command -v dnf >/dev/null 2>&1; then
    install="dnf install -y $fedora"
else
    install="on Debian: apt-get install -y $debian; on Fedora: dnf install -y $fedora"
fi
echo "missing: $missing. Install with: $install" >&2
exit 1
