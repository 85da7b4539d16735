#!/usr/bin/env bash
# Runs `forebay run` beside workers on the real Java KCL, on emulators that others wrote, and compares what both did.
#
#   tests/interop.sh            short: KCL 1.x and 2.x, some minutes
#   tests/interop.sh full       every version and scenario, the figures side by side; writes docs/interop.md
#   tests/interop.sh ARGUMENTS  as tests/interop/drive.py takes them
#
# FOREBAY_TIER=nightly (or release) makes `full` the default. Installs by package name into
# ${FOREBAY_TOOLS:-$HOME/.cache/forebay-tools}. Without Java, Maven or npm it prints a line and ends with 0. Everything
# it starts is stopped by process id, whatever happens, and listens on free loopback ports.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in java mvn node npm python3; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: interop with the Java KCL ($tool is not here)"
        exit 0
    fi
done
if [ $# -eq 0 ]; then
    case ${FOREBAY_TIER:-ci} in
        nightly | release) set -- full ;;
        *) set -- short ;;
    esac
fi
# The same package selection as the demo's, so that the SDK is built once.
cargo build --quiet --package ingest
case $1 in
    short) exec python3 tests/interop/drive.py --versions 1,2 --stories crash,latest --jobs 3 --limit 600 ;;
    full)
        rm -f docs/interop.json
        exec python3 tests/interop/drive.py --jobs 3 --figures --write docs/interop.md --limit 3600
        ;;
    *) exec python3 tests/interop/drive.py "$@" ;;
esac
