#!/usr/bin/env bash
# Sends over every transport to GELF receivers that we did not write, and compares what they understood.
#
#   graygelf (npm)         UDP: plain, gzip, zlib, chunks
#   go-gelf (Go module)    UDP: the same, by the makers of Graylog
#   kinesyslog (PyPI)      TCP, and TLS by OpenSSL
#   Node's own server      HTTP and HTTPS: no GELF receiver for it exists in these registries
#
# Pinned versions are installed into ${FOREBAY_TOOLS:-$HOME/.cache/forebay-tools}. A receiver whose tool or registry is
# missing is skipped with a printed line.
set -euo pipefail

cd "$(dirname "$0")/.."
programs=$PWD/tests/receivers
identity=("$PWD/crates/forebay-gelf/tests/testdata/tls/sha256.pem" "$PWD/crates/forebay-gelf/tests/testdata/tls/leaf.key")
tools=${FOREBAY_TOOLS:-$HOME/.cache/forebay-tools}/gelf-receivers
work=$(mktemp -d)
mkdir -p "$tools"
pids=()
receivers=

stop() {
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap stop EXIT

# install NAME COMMAND...: once; a failure is told and makes the receiver a skipped one.
install() {
  local name=$1
  shift
  [ ! -e "$tools/$name.done" ] || return 0
  if ! command -v "$1" >/dev/null; then
    echo "skipped: $name ($1 is not here)"
    return 1
  fi
  if ! "$@" >"$work/$name.install" 2>&1; then
    echo "skipped: $name cannot be installed: $(tail -1 "$work/$name.install")"
    return 1
  fi
  touch "$tools/$name.done"
}

# start NAME SCHEME COMMAND...: the command gets the file of what it saw and the file for its port before the rest.
start() {
  local name=$1 scheme=$2 program=("$3" "$4") seen=$work/$1-$2.seen port=$work/$1-$2.port
  shift 4
  [ -n "${program[1]}" ] || program=("${program[0]}")
  touch "$seen"
  "${program[@]}" "$seen" "$port" "$@" >"$work/$name-$scheme.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 150); do
    if [ -s "$port" ]; then
      receivers+="$name $scheme 127.0.0.1:$(cat "$port") $seen"$'\n'
      return 0
    fi
    sleep 0.2
  done
  echo "$name did not start:" >&2
  tail -5 "$work/$name-$scheme.log" >&2
  return 1
}

if install graygelf npm install --prefix "$tools" --no-save --no-audit --no-fund --ignore-scripts graygelf@2.0.0; then
  export NODE_PATH=$tools/node_modules
  start graygelf udp node "$programs/graygelf.js"
fi
if install go-gelf go -C "$programs/go_gelf" build -mod=readonly -o "$tools/go-gelf" .; then
  start go-gelf udp "$tools/go-gelf" ""
fi
if install kinesyslog python3 -m pip install --quiet --no-deps --target "$tools/python" kinesyslog==2.0.1; then
  export PYTHONPATH=$tools/python
  start kinesyslog tcp python3 "$programs/kinesyslog_tcp.py"
  start kinesyslog tls python3 "$programs/kinesyslog_tcp.py" "${identity[@]}"
fi
if command -v node >/dev/null; then
  start node http node "$programs/node_http.js"
  start node https node "$programs/node_http.js" "${identity[@]}"
fi

if [ -z "$receivers" ]; then
  echo "skipped: no receiver could be started"
  exit 0
fi
FOREBAY_GELF_RECEIVERS=$receivers \
  cargo test --quiet --package forebay-gelf --all-features --test real_receiver -- --nocapture
