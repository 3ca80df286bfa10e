#!/bin/sh
# Builds one static executable: build.sh OUTPUT NAME MAIN_MODULE
# OUTPUT.linked tells which packages of Debian are in it, with their licences.
# SOURCE_ROOTS: source roots, separated by spaces. For another architecture set CC, PYTHON (a native interpreter of the same version as
# the target's static library), PYTHON_INCLUDE and PYTHON_LIBRARY.
set -eu
OUTPUT=$1 NAME=$2 MAIN=$3
PYTHON=${PYTHON:-/usr/bin/python3.11}
CC=${CC:-gcc}
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON_INCLUDE=${PYTHON_INCLUDE:-/usr/include/python3.11}
if [ -z "${PYTHON_LIBRARY:-}" ]; then
    for PYTHON_LIBRARY in /usr/lib/python3.11/config-3.11-*/libpython3.11.a; do :; done
fi
if [ ! -e "$PYTHON_LIBRARY" ] || [ ! -e "$PYTHON_INCLUDE/Python.h" ] || [ ! -x "$PYTHON" ]; then
    echo "$0: Debian's static CPython 3.11 is missing; run build-support/system-packages" >&2
    exit 1
fi
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
paths=$(for root in $SOURCE_ROOTS; do printf -- '--path %s ' "$root"; done)
# shellcheck disable=SC2086  # the words are meant to split
"$PYTHON" -I "$HERE/freeze.py" $paths --name "$NAME" "$MAIN" > "$WORK/program.c"
# No build id and no path of this machine in the file: the same sources give the same bytes.
(cd "$WORK" && "$CC" -O1 -c -I"$PYTHON_INCLUDE" program.c -o program.o)
# glibc warns that name look-ups would need its shared libraries at run time; these programs look up no names.
"$CC" -static -Wl,--build-id=none -Wl,--gc-sections -Wl,--trace -s -o "$WORK/program" "$WORK/program.o" "$PYTHON_LIBRARY" -lexpat -lz -lm \
    > "$WORK/trace" 2> "$WORK/warnings" || { cat "$WORK/warnings" >&2; exit 1; }
mkdir -p "$(dirname "$OUTPUT")"
"$PYTHON" -I "$HERE/linked.py" "$OUTPUT.linked" "$WORK/program.o" < "$WORK/trace"
mv "$WORK/program" "$OUTPUT"
