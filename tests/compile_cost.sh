#!/usr/bin/env bash
# What each crate costs whoever adds it: packages, and CPU seconds of a cold debug build. Writes docs/compile-cost.md.
#
#   tests/compile_cost.sh        the pure crates; packages only for those on the AWS SDK
#   tests/compile_cost.sh all    those too, which takes many minutes and 7 GB of memory for the SDK of EC2
#
# Builds into a target directory of its own, which it removes. CPU is user and system time of cargo and all compilers:
# other work on the machine hardly changes it.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="$PWD/target-cost"
trap 'rm -rf "$CARGO_TARGET_DIR"' EXIT
cargo fetch --locked --quiet

# One row: package, what to call its features, flags of cargo.
row() {
    local package=$1 told=$2 packages cpu="not built"
    shift 2
    packages=$(cargo tree --locked --package "$package" "$@" --edges normal,build --prefix none | sed 's, (\*)$,,' | sort -u | wc -l)
    if [ "$builds" = yes ]; then
        rm -rf "$CARGO_TARGET_DIR"
        TIMEFORMAT='%U %S'
        cpu=$({ time cargo build --locked --quiet --package "$package" "$@" >&2; } 2>&1 | tail -1 |
            awk '{ printf "%.1f", $1 + $2 }')
    fi
    echo "| \`$package\` | $told | $packages | $cpu |" | tee -a "$rows"
}

rows=$(mktemp)
builds=yes
for package in forebay-flowlog forebay-cwlogs forebay-kpl forebay-cloudtrail forebay-gelf forebay-entity forebay-lease; do
    row "$package" "none"
done
row forebay-flowlog serde --features serde
row forebay-cwlogs libdeflate --features libdeflate
row forebay-gelf "tokio" --features tokio
row forebay-gelf "all: tokio, tls, http" --all-features
[ "${1:-}" = all ] || builds=no
row forebay-localaws none
row forebay-kinesis default
row forebay-s3 default
row forebay-entity "aws" --features aws
row ingest "none" --no-default-features
row ingest "default: entities"

{
    echo '# What the crates cost to build'
    echo
    echo "Made by \`tests/compile_cost.sh${1:+ $1}\` with $(rustc --version | cut -d' ' -f1-2)$( [ "$builds" = yes ] || echo '; `all` also builds those on the AWS SDK')."
    echo
    echo '| crate | features | packages, itself included | CPU seconds of a cold debug build |'
    echo '|---|---|---:|---:|'
    cat "$rows"
    echo
    echo '`forebay-lease` is built optimised in this workspace, for its simulator; elsewhere it costs less.'
} >docs/compile-cost.md
rm -f "$rows"
