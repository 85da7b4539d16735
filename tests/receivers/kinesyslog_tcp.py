"""kinesyslog (PyPI): GELF over TCP, and over TLS with Python's own OpenSSL. Only its parser is used, not its relay.

Arguments: file of what was seen, file for the port, and for TLS a certificate and its key.
"""

import asyncio
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from types import SimpleNamespace

start_shutdown = SSLProtocol._start_shutdown
from kinesyslog import constant
from kinesyslog.protocol import GelfProtocol

# Importing it replaced a method of asyncio for the Python of 2019.
SSLProtocol._start_shutdown = start_shutdown
# The release uses this constant and forgot to define it.
constant.OPENBRACKET = ord("{")


class Seen:
    def __init__(self, path):
        self.file = open(path, "ab", buffering=0)

    async def write(self, source, port, messages, timestamp):
        for message in messages:
            self.file.write(bytes(message) + b"\n")


async def main(seen, port, *identity):
    context = None
    if identity:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*identity)
    loop = asyncio.get_running_loop()
    sink, registry = Seen(seen), SimpleNamespace(active=False)
    server = await loop.create_server(
        lambda: GelfProtocol(sink=sink, loop=loop, registry=registry), "127.0.0.1", 0, ssl=context
    )
    with open(port, "w") as file:
        file.write(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
