// graygelf (npm): UDP with gzip, zlib and chunks of its own. Arguments: file of what was seen, file for the port.
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
