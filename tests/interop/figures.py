"""Start, failover, calls, memory and CPU of a worker on the Java KCL and of ours, side by side with default settings."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from bed import wait
from stories import Story

MINUTE = 60
# Default failover time and pause between reads of the KCL, which are also ours.
FAILOVER, IDLE = 10, 1.0


def compare(bed, version):
    """Both kinds at the same time, each alone on a stream and a table of its own; figures by kind."""
    with ThreadPoolExecutor(2) as pool:
        running = {kind: pool.submit(measure, bed, version, kind) for kind in ("java", "forebay")}
        return {kind: future.result() for kind, future in running.items()}


def measure(bed, version, kind):
    story = Story(bed, version, f"figures-{kind}", "http", failover=FAILOVER, idle=IDLE, quick=False)
    figures = {}
    try:
        story.producer.start()
        time.sleep(2)
        first = story.worker(kind)
        figures["start on an empty table to the first record, s"] = first_record(first)
        story.owned_by(120, first)
        story.settled(60)
        before, calls = usage(first), counts(first)
        time.sleep(MINUTE)
        after = usage(first)
        figures["DynamoDB calls a minute, 4 leases"] = counts(first)[0] - calls[0]
        figures["Kinesis calls a minute, 4 shards"] = counts(first)[1] - calls[1]
        figures["CPU in that minute, s"] = after - before
        resident, peak = first.memory()
        figures["resident memory, MiB"] = resident / 2**20
        figures["resident memory at its highest, MiB"] = peak / 2**20
        second = story.worker(kind)
        figures["a second worker has its share, s"] = story.owned_by(240, first, second)
        story.settled(60)
        shards = {key for key, owner in story.watch.owners().items() if owner == first.name}
        killed = first.kill()
        story.owned_by(240, second)
        figures["kill -9 until its leases have an owner, s"] = time.time() - killed
        figures["kill -9 to a record of its last shard, s"] = resumed(story, second, shards, killed)
        story.settled(60)
        second.stop()
        third = story.worker(kind)
        figures["clean stop and start to the first record, s"] = first_record(third)
        story.producer.stop()
        story.settled(120)
        third.stop()
        return figures
    finally:
        story.close()


def first_record(worker):
    wait(f"a record of {worker.name}", 240, worker.processed, alive=worker.child, pause=0.05)
    return worker.processed()[0].at - worker.started


def resumed(story, worker, shards, killed):
    """Seconds until `worker` had processed, from each of these shards, a record that was put after the kill."""

    def times():
        put = dict(story.producer.put)
        first = {}
        for one in list(worker.processed()):
            where = put.get(one.number)
            if where and where.shard in shards and where.at > killed:
                first.setdefault(where.shard, one.at)
        return first

    wait(f"{worker.name} to read {sorted(shards)}", 240, lambda: set(times()) == shards)
    return max(times().values()) - killed


def counts(worker):
    return len(worker.dynamodb.calls), len(worker.kinesis.calls)


def usage(worker):
    """CPU seconds of the process so far."""
    with open(f"/proc/{worker.child.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
