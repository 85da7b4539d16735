// Node's own HTTP, TLS and zlib behind the one path that Graylog takes messages on.
// Arguments: file of what was seen, file for the port, and for HTTPS a certificate and its key.
const fs = require('fs')
const zlib = require('zlib')
const seen = fs.openSync(process.argv[2], 'a')
const receive = (request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    if (request.method !== 'POST' || request.url !== '/gelf') {
      response.writeHead(request.url === '/gelf' ? 405 : 404).end()
      return
    }
    let body = Buffer.concat(parts)
    if (request.headers['content-encoding'] === 'gzip') body = zlib.gunzipSync(body)
    fs.writeSync(seen, JSON.stringify(JSON.parse(body)) + '\n')
    response.writeHead(202).end()
  })
}
const [, , , port, cert, key] = process.argv
const server = cert
  ? require('https').createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, receive)
  : require('http').createServer(receive)
server.listen(0, '127.0.0.1', () => fs.writeFileSync(port, String(server.address().port)))
