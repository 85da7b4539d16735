#!/usr/bin/env bash
# Three `forebay run` processes under everything that goes wrong in the field, for half an hour: prints the account and
# writes docs/chaos.md. FOREBAY_CHAOS_SECONDS is another length (1800), FOREBAY_SEED repeats the choices of a run.
# It runs on copies, so builds in the meantime do not disturb it.
set -euo pipefail
cd "$(dirname "$0")/.."

export FOREBAY_CHAOS_SECONDS="${FOREBAY_CHAOS_SECONDS:-1800}"
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
test=$(cargo test --workspace --no-run --test fleet --message-format json |
    python3 -c 'import json, sys; print(*(a["executable"] for a in map(json.loads, sys.stdin) if a.get("executable") and a["target"]["name"] == "fleet"))')
cp "$test" "$copies/fleet"
cp target/debug/forebay "$copies/forebay"
commit=$(git rev-parse --short HEAD)
export FOREBAY_BINARY="$copies/forebay"
(cd examples/ingest && "$copies/fleet" --nocapture chaos) | tee "$copies/log"

{
    echo '# Chaos'
    echo
    echo "Made by \`tests/chaos.sh\`: commit $commit, $(date -u +%F), $FOREBAY_CHAOS_SECONDS s on $(nproc) cores, $(grep -o 'seed [0-9]*' "$copies/log")."
    cat <<'TEXT'

Three `forebay run` processes (debug build, failover time 3 s) read a stream of eight shards and a queue of CloudTrail
notices from our AWS model over HTTP and send to one GELF receiver over TCP. 400 flow logs and 80 CloudTrail records a
second, one in a hundred bad on purpose; a notice names two files, SQS delivers one in fifty twice. All the while
something of the second table begins every half to two and a half seconds, at random and several at a time. At the end
everything heals, and each event must have come out: at the receiver, or as a dead letter if it is bad. The last table
is of the process that is frozen and cut off like the others, but never killed.

TEXT
    sed -n '/^| input/,/^| descriptors/p' "$copies/log"
} >docs/chaos.md
