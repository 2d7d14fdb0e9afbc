#!/bin/sh
# Sets everything up in .venv on Debian or Ubuntu, then runs make with the arguments: `./setup.sh demo`, `./setup.sh test`.
# Running it again costs nothing while requirements.lock and pyproject.toml stay as they are.
set -eu
cd "$(dirname "$0")"

VENV=.venv
STAMP=$VENV/setup.stamp

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

# Python 3.11 or newer; PYTHON chooses one.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || return 1
        as_root=sudo
    fi
    say "setup: installing system packages: $*"
    $as_root apt-get update -q >&2 && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy "$@" >&2
}

python=$(find_python)
needed=
command -v make >/dev/null 2>&1 || needed="$needed make"
[ -n "$python" ] || needed="$needed python3"
# Debian ships venv apart from Python; with an older Python only, the package is no help and is named below.
if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then needed="$needed python3-venv"; fi
if [ -n "$needed" ]; then
    # shellcheck disable=SC2086
    apt_install $needed || fail "these system packages are missing and could not be installed here:$needed. Install them, then run this again."
    python=$(find_python)
fi
[ -n "$python" ] || fail "needs Python 3.11 or newer; install one and name it: PYTHON=/path/to/python3.12 ./setup.sh"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv module; install it (python3-venv), or name another with PYTHON=."

state="$("$python" --version) $(cat requirements.lock pyproject.toml setup.sh | sha256sum | cut -d' ' -f1)"
if [ ! -x "$VENV/bin/mapdata" ] || [ "$(cat "$STAMP" 2>/dev/null)" != "$state" ]; then
    say "setup: installing the pinned packages into $VENV"
    "$python" -m venv --upgrade "$VENV"
    "$VENV/bin/python" -m pip install -q --no-deps -r requirements.lock
    # A build of torch for GPUs needs libraries that the lock, made on a machine without one, does not list.
    if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
        say "setup: this build of torch wants more libraries"
        "$VENV/bin/python" -m pip install -q -c requirements.lock "$(grep '^torch==' requirements.lock)"
    fi
    "$VENV/bin/python" -m pip install -q --no-deps --no-build-isolation -e .
    printf '%s\n' "$state" >"$STAMP"
fi

# The tests of the review page drive a real browser, those of releases GDAL's own tools; without these they are skipped.
case " $* " in
*" test "*)
    command -v chromium >/dev/null 2>&1 || apt_install chromium || say "setup: no chromium; tests of the review page will be skipped"
    command -v ogrinfo >/dev/null 2>&1 || apt_install gdal-bin || say "setup: no ogrinfo; tests with GDAL's own tools will be skipped"
    ;;
esac

[ $# -eq 0 ] || exec make "$@"
