"""A logging HTTP/1.1 proxy in front of an emulator: one per worker and service, so that calls can be attributed."""

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Call:
    """One request and how it was answered."""

    at: float
    operation: str
    status: int
    error: str
    body: dict = field(repr=False)


class Loop:
    """An asyncio loop on a thread of its own, for everything that listens."""

    BEAT = 0.1

    def __init__(self):
        self.loop, self.tasks = asyncio.new_event_loop(), set()
        # When it stood still, and for how long: what it read then bears too late a time.
        self.stalls = []
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self.beat(), self.loop)

    async def beat(self):
        while True:
            due = time.time() + self.BEAT
            await asyncio.sleep(self.BEAT)
            late = time.time() - due
            if late > self.BEAT:
                self.stalls.append((due, late))

    def stalled(self, since, seconds):
        """How long it stood still between `since` and so many seconds later."""
        stalls = list(self.stalls)
        return sum(late for due, late in stalls if due + late >= since and due <= since + seconds)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def listen(self, serve, **options):
        """A server on a free loopback port."""

        async def connected(reader, writer):
            # The loop itself holds tasks weakly.
            task = asyncio.current_task()
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                # A worker was killed, or closed its connection.
                pass
            finally:
                writer.close()

        return self.run(asyncio.start_server(connected, "127.0.0.1", 0, **options))

    def close(self, server):
        self.loop.call_soon_threadsafe(server.close)

    def end(self):
        """Ends every connection."""

        async def cancel():
            tasks = list(self.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(cancel())


class Proxy:
    """Listens on a free loopback port and forwards to `target`."""

    def __init__(self, loop, target):
        self.target, self.calls, self.loop = target, [], loop
        self.server = loop.listen(self.serve)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        self.loop.close(self.server)

    async def serve(self, reader, writer):
        while True:
            head, headers = await read_head(reader)
            if not head:
                return
            started = time.time()
            body = await read_body(reader, headers)
            answer, answer_headers, content = await self.forward(head + body)
            if not answer:
                return
            self.note(started, headers, body, answer, answer_headers, content)
            writer.write(answer + content)
            await writer.drain()

    async def forward(self, request):
        """One connection per request: a kept one may be closed by the emulator just when it is used again."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            writer.write(request)
            answer, headers = await read_head(reader)
            return answer, headers, await read_body(reader, headers) if answer else b""
        finally:
            writer.close()

    def note(self, started, headers, body, answer, answer_headers, content):
        operation = headers.get("x-amz-target", "").split(".")[-1]
        status = int(answer.split(b" ", 2)[1])
        error = ""
        if status != 200:
            error = answer_headers.get("x-amzn-errortype") or str(parsed(content).get("__type", status))
            error = error.split("#")[-1].split(":")[0]
        self.calls.append(Call(started, operation, status, error, parsed(body)))


def parsed(body):
    try:
        value = json.loads(body)
        return value if isinstance(value, dict) else {}
    except ValueError:
        return {}


async def read_head(reader):
    """The head's bytes and its fields in lower case; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b"", {}
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return head, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def read_body(reader, headers):
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            size = await reader.readuntil(b"\r\n")
            length = int(size.split(b";")[0], 16)
            body += size + await reader.readexactly(length + 2)
            if length == 0:
                return body
    return await reader.readexactly(int(headers.get("content-length", 0)))
