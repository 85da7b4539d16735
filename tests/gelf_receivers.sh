#!/bin/sh
# Sends to GELF receivers that we did not write, and checks what they understood.
#
# graygelf (npm) has a UDP server with gzip, zlib and chunks of its own. Everything is installed into a temporary folder
# that is removed at the end. Skips with a line when npm or the registry is missing.
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "skipped: npm and node are not here"
    exit 0
fi
folder=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT INT TERM

if ! npm install --prefix "$folder" --no-save --no-audit --no-fund --ignore-scripts graygelf@2.0.0 >"$folder/npm.log" 2>&1; then
    echo "skipped: npm cannot install graygelf: $(tail -1 "$folder/npm.log")"
    exit 0
fi

cat >"$folder/serve.js" <<'JS'
const fs = require('fs')
const server = require('graygelf/server')()
const seen = fs.openSync(process.argv[2], 'a')
server.on('message', (message) => fs.writeSync(seen, JSON.stringify(message) + '\n'))
server.on('error', (error) => fs.writeSync(seen, JSON.stringify({ error: String(error) }) + '\n'))
// graygelf takes port 0 for "the default one", so a free port is looked for first.
const probe = require('dgram').createSocket('udp4')
probe.bind(0, '127.0.0.1', () => {
  const port = probe.address().port
  probe.close(() => {
    server.listen(port, '127.0.0.1')
    server._udp.on('listening', () => fs.writeFileSync(process.argv[3], String(port)))
  })
})
JS
(cd "$folder" && exec node serve.js seen port) &
server=$!
tries=0
while [ ! -s "$folder/port" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "graygelf did not start"; exit 1; }
    sleep 0.1
done

cd "$repository"
FOREBAY_GELF_RECEIVER="udp://127.0.0.1:$(cat "$folder/port")" FOREBAY_GELF_SEEN="$folder/seen" \
    cargo test -q -p forebay-gelf --all-features --test real_receiver -- --nocapture
