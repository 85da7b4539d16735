#!/usr/bin/env bash
# Runs the contract suites, the suite of lease tables and the Kinesis worker on independent emulators, one at a time, on
# loopback, and stops each by its process id.
#
#   tests/emulators.sh [kinesis-local|ministack|dynalite|moto ...]     default: all four
#
# Installs pinned versions into ${FOREBAY_TOOLS:-$HOME/.cache/forebay-tools}. Without npm or python3 the emulator is
# skipped with a printed line. Exit code 1 if a suite differs from tests/contract/known_differences.txt.
set -euo pipefail

cd "$(dirname "$0")/.."
tools=${FOREBAY_TOOLS:-$HOME/.cache/forebay-tools}
logs=$(mktemp -d)
pid=
failed=0

stop() {
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
  fi
}
trap 'stop; rm -rf "$logs"' EXIT

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_ready NAME PORT: until the port answers HTTP at all, at most 60 s.
wait_ready() {
  for _ in $(seq 300); do
    if ! kill -0 "$pid" 2>/dev/null; then
      break
    fi
    if curl -s -o /dev/null --max-time 2 "http://127.0.0.1:$2/"; then
      return 0
    fi
    sleep 0.2
  done
  echo "emulators: $1 did not start; its output:" >&2
  tail -20 "$logs/$1" >&2
  return 1
}

# run_suites NAME PORT SERVICE...
run_suites() {
  local name=$1 port=$2 environment=() filters=()
  shift 2
  for service in "$@"; do
    environment+=("FOREBAY_CONTRACT_$service=http://127.0.0.1:$port")
    filters+=("an_emulator_keeps_the_$(echo "$service" | tr '[:upper:]' '[:lower:]')_contract")
  done
  if ! env FOREBAY_CONTRACT_EMULATOR="$name" "${environment[@]}" \
    cargo test --quiet --workspace --test contract -- --nocapture --test-threads=1 "${filters[@]}"; then
    echo "emulators: $name differs from tests/contract/known_differences.txt" >&2
    failed=1
  fi
}

# run_worker NAME PORT SERVICE...: the tests of the worker that take an emulator.
run_worker() {
  local name=$1 port=$2 environment=()
  shift 2
  for service in "$@"; do
    environment+=("FOREBAY_CONTRACT_$service=http://127.0.0.1:$port")
  done
  if ! env "${environment[@]}" \
    cargo test --quiet --workspace --test kinesis -- --nocapture --test-threads=1 an_emulator; then
    echo "emulators: the worker fails on $name" >&2
    failed=1
  fi
}

# node_package NAME VERSION FILE: installs an npm package unless its file is there; fails without npm.
node_package() {
  if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "skipped: $1 needs npm and node"
    return 1
  fi
  if [ ! -f "$tools/$1-$2/node_modules/$1/$3" ]; then
    npm install --silent --no-audit --no-fund --prefix "$tools/$1-$2" "$1@$2"
  fi
}

# venv NAME REQUIREMENT: a virtual environment that holds exactly this requirement.
venv() {
  local folder="$tools/$1"
  if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$2" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$2"
    echo "$2" >"$folder/.installed"
  fi
}

kinesis_local() {
  local version=0.6.2 folder port tls
  node_package kinesis-local $version main.js || return 0
  folder="$tools/kinesis-local-$version"
  port=$(free_port)
  tls=$(free_port)
  KINESIS_MOCK_CERT_PATH="$folder/node_modules/kinesis-local/server.json" KINESIS_MOCK_PLAIN_PORT=$port \
    KINESIS_MOCK_TLS_PORT=$tls SHARD_LIMIT=500 LOG_LEVEL=ERROR \
    node "$folder/node_modules/kinesis-local/main.js" >"$logs/kinesis-local" 2>&1 &
  pid=$!
  wait_ready kinesis-local "$port"
  run_suites kinesis-local "$port" KINESIS
  run_worker kinesis-local "$port" KINESIS
  stop
}

ministack() {
  local port
  venv ministack-1.5.33 ministack==1.5.33
  port=$(free_port)
  BIND_HOST=127.0.0.1 GATEWAY_PORT=$port "$tools/ministack-1.5.33/bin/ministack" >"$logs/ministack" 2>&1 &
  pid=$!
  wait_ready ministack "$port"
  run_suites ministack "$port" DYNAMODB SQS S3 READER CLOUDWATCH
  run_worker ministack "$port" DYNAMODB
  stop
}

# A second opinion on lease tables: it is stricter than the others, and its tables are CREATING for a while.
dynalite() {
  local version=4.0.0 port
  node_package dynalite $version cli.js || return 0
  port=$(free_port)
  node "$tools/dynalite-$version/node_modules/dynalite/cli.js" --host 127.0.0.1 --port "$port" --createTableMs 100 \
    >"$logs/dynalite" 2>&1 &
  pid=$!
  wait_ready dynalite "$port"
  run_worker dynalite "$port" DYNAMODB
  stop
}

moto() {
  local port
  venv moto-5.2.5 'moto[server]==5.2.5'
  port=$(free_port)
  "$tools/moto-5.2.5/bin/moto_server" -H 127.0.0.1 -p "$port" >"$logs/moto" 2>&1 &
  pid=$!
  wait_ready moto "$port"
  run_suites moto "$port" EC2 ELB
  stop
}

if ! command -v python3 >/dev/null; then
  echo "skipped: the emulators need python3"
  exit 0
fi
mkdir -p "$tools"
if [ $# -eq 0 ]; then
  set -- kinesis-local ministack dynalite moto
fi
for name in "$@"; do
  case $name in
    kinesis-local) kinesis_local ;;
    ministack) ministack ;;
    dynalite) dynalite ;;
    moto) moto ;;
    *)
      echo "emulators: unknown name $name" >&2
      exit 2
      ;;
  esac
done
exit $failed
