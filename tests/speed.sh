#!/usr/bin/env bash
# End to end: one `forebay run`, built for release, from Kinesis to a GELF receiver that throws everything away, beside
# a Lambda-style forwarder in Python on the same records. Prints the table and writes docs/speed-end-to-end.md.
# FOREBAY_SPEED_MESSAGES is how many messages (1,000,000).
set -euo pipefail
cd "$(dirname "$0")/.."

# Without entities: neither side resolves addresses here, and building the SDK of EC2 takes minutes.
cargo build --release --package ingest --no-default-features --bin forebay
cargo test --workspace --no-run --test speed

export FOREBAY_SPEED_MESSAGES="${FOREBAY_SPEED_MESSAGES:-1000000}" FOREBAY_BINARY="$PWD/target/release/forebay"
busy=$(cut -d' ' -f1 /proc/loadavg)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace --test speed -- --nocapture | tee "$log"

{
    echo '# Speed, end to end'
    echo
    echo 'Made by `tests/speed.sh`. '"$(grep ' messages in ' "$log"), on $(nproc) cores, $(python3 --version), load average $busy when it began."
    echo
    grep '^|' "$log"
    cat <<'TEXT'

Both turn subscription records of 200 flow logs into GELF over TCP. `forebay` reads them from our AWS model over HTTP,
which shares the cores with it, keeps leases and checkpoints and proves each delivery; its time runs from the start of
the process to the last message at the receiver. The forwarder (`examples/ingest/tests/speed/forwarder.py`) gets its
events from a file, 100 records at a time, as Lambda would hand them over: fetching them costs it nothing. CPU is user
and system time of the process. A loaded machine changes messages per second, hardly CPU: run it when nothing else runs.
TEXT
} >docs/speed-end-to-end.md
