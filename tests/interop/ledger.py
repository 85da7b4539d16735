"""Who processed which record, and when; and what that says about loss, order and checkpoints."""

import asyncio
import gzip
import random
import re
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from aws import Refused, aggregate, entry, payload
from proxy import read_body, read_head

ID = re.compile(r"interop-id=([0-9]+)")


@dataclass(frozen=True)
class Put:
    """A user record in the stream."""

    shard: str
    sequence: int
    sub_sequence: int
    at: float


@dataclass(frozen=True)
class Processed:
    """A user record that a worker processed."""

    number: int
    worker: str
    at: float


class Producer:
    """Puts numbered records into a stream, one in four as a KPL aggregate of three, until stopped."""

    INTERVAL = 0.5

    def __init__(self, kinesis, stream, seed, entries=4):
        self.kinesis, self.stream, self.entries = kinesis, stream, entries
        self.random = random.Random(seed)
        self.put, self.failure = {}, None
        self.next = 1
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
        if self.failure:
            raise self.failure

    def run(self):
        try:
            while not self.stopping.wait(self.INTERVAL):
                self.batch()
        except Exception as failure:  # noqa: BLE001 - raised again by stop()
            self.failure = failure

    def batch(self):
        numbers, entries = [], []
        for _ in range(self.entries):
            count = 3 if self.random.random() < 0.25 else 1
            group = list(range(self.next, self.next + count))
            self.next += count
            hash_key = self.random.randrange(2**128)
            contents = [payload(number) for number in group]
            data = contents[0] if count == 1 else aggregate(contents, "key", hash_key)
            numbers.append(group)
            entries.append(entry(data, "key", hash_key))
        while entries:
            try:
                answers = self.kinesis.call("PutRecords", StreamName=self.stream, Records=entries)["Records"]
            except Refused as refused:
                # The stream is being resharded.
                if refused.kind not in ("ResourceInUseException", "LimitExceededException"):
                    raise
                time.sleep(0.2)
                continue
            now = time.time()
            rest = []
            for answer, group, request in zip(answers, numbers, entries):
                if "SequenceNumber" not in answer:
                    rest.append((group, request))
                    continue
                for sub, number in enumerate(group):
                    self.put[number] = Put(answer["ShardId"], int(answer["SequenceNumber"]), sub, now)
            numbers, entries = [group for group, _ in rest], [request for _, request in rest]


class Receiver:
    """A GELF receiver; what it has read counts as processed by `worker`."""

    def __init__(self, loop, worker, protocol):
        self.worker, self.processed, self.loop = worker, [], loop
        self.server = loop.listen({"tcp": self.frames, "http": self.requests}[protocol], limit=2**20)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        self.loop.close(self.server)

    def message(self, text):
        found = ID.search(text.decode())
        if found:
            self.processed.append(Processed(int(found[1]), self.worker, time.time()))

    async def frames(self, reader, writer):
        """NUL-terminated messages."""
        while True:
            self.message(await reader.readuntil(b"\0"))

    async def requests(self, reader, writer):
        """`POST /gelf`, answered once the message is noted."""
        while True:
            head, headers = await read_head(reader)
            if not head:
                return
            body = await read_body(reader, headers)
            self.message(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()


class Lines:
    """The lines a Java consumer printed so far, read as they come."""

    def __init__(self, path, worker):
        self.path, self.worker, self.position = path, worker, 0
        self.processed, self.events = [], []
        self.lock = threading.Lock()

    def read(self):
        with self.lock, open(self.path, "rb") as lines:
            lines.seek(self.position)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self.position += len(line)
                kind, millis, shard, *more = line.decode().split()
                at = int(millis) / 1000
                if kind == "record":
                    self.processed.append(Processed(int(more[2]), self.worker, at))
                self.events.append((kind, at, shard, more))


class Ledger:
    """Compares what was put with what was processed."""

    def __init__(self, put, processed, stalled=lambda since, seconds: 0):
        self.put, self.stalled = put, stalled
        self.processed = sorted(processed, key=lambda one: one.at)
        self.counts = Counter(one.number for one in self.processed)

    def missing(self):
        return sorted(set(self.put) - set(self.counts))

    def duplicates(self):
        return sum(self.counts.values()) - len(self.counts)

    def first(self):
        """When each record was processed first."""
        first = {}
        for one in self.processed:
            first.setdefault(one.number, one.at)
        return first

    def checkpoints_ahead(self, history):
        """Checkpoints that were in the table before everything below them was processed."""
        first, faults = self.first(), []
        shards = defaultdict(list)
        for number, put in self.put.items():
            shards[put.shard].append((put.sequence, put.sub_sequence, number))
        for at, key, checkpoint, sub_sequence in history:
            # Reading the receiver's socket may lag behind a checkpoint by a moment, and by the driver's own stalls.
            limit = at + LAG + self.stalled(at, LAG)
            ended = checkpoint == "SHARD_END"
            if not ended and not checkpoint.isdigit():
                continue
            bound = (int(checkpoint), sub_sequence) if not ended else None
            for sequence, sub, number in shards[key]:
                if (ended or (sequence, sub) <= bound) and first.get(number, limit + 1) > limit:
                    faults.append(f"{key} at {checkpoint}/{sub_sequence} although record {number} was not processed")
                    break
        return faults

    def children_before_parents(self, parents):
        """Children of which a record was processed before the last first-processing of a parent's record."""
        first, faults = self.first(), []
        span = defaultdict(list)
        for number, at in first.items():
            if number in self.put:
                span[self.put[number].shard].append(at)
        for child, ancestors in parents.items():
            for parent in ancestors:
                if not span[child] or not span[parent]:
                    continue
                begun = min(span[child])
                if begun + LAG + self.stalled(begun, LAG) < max(span[parent]):
                    faults.append(f"{child} was read before {parent} was done")
        return faults

    def steps_back(self, workers):
        """How often one of these workers went back within a shard."""
        last, count = {}, 0
        for one in self.processed:
            put = self.put.get(one.number)
            if put is None or one.worker not in workers:
                continue
            where = (one.worker, put.shard)
            position = (put.sequence, put.sub_sequence)
            if position <= last.get(where, (-1, 0)):
                count += 1
            last[where] = position
        return count


LAG = 1.0
