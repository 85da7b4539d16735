"""The scenarios. Each story runs several of them one after the other on one stream and one lease table."""

import contextlib
import threading
import time
from dataclasses import dataclass

from aws import Client
from bed import wait
from ledger import Ledger, Producer
from rows import Watch
from workers import Forebay, Java


@dataclass(frozen=True)
class Version:
    """A KCL version in one of its modes."""

    key: str
    label: str
    module: str
    mode: str
    # Since 2.6.0 a released lease is taken at the next pass; before, only after its expiry.
    takes_released: bool
    # The DynamoDB emulator.
    store: str


VERSIONS = {
    "1": Version("1", "1.15.3", "kcl1", "2x", False, "dynalite"),
    "2": Version("2", "2.7.2", "kcl2", "2x", True, "ministack"),
    "3c": Version("3c", "3.5.1, compatible with 2.x", "kcl3", "2x", True, "ministack"),
    "34": Version("34", "3.4.2", "kcl34", "3x", True, "ministack"),
    "3": Version("3", "3.5.1", "kcl3", "3x", True, "ministack"),
}


@dataclass
class Result:
    """One line of the table."""

    version: str
    story: str
    scenario: str
    passed: bool
    took: float
    told: list


class Story:
    """A stream, its lease table, its workers, and everything that was seen of them."""

    SHARDS = 4
    CREATING = threading.Lock()

    def __init__(self, bed, version, name, output, failover, idle=0.5, quick=True):
        self.bed, self.version = bed, version
        self.failover, self.idle, self.quick = failover, idle, quick
        self.name, self.output = name, output
        self.stream = f"{name}-{version.key}"
        self.table = f"{self.stream}-leases"
        self.kinesis = Client("kinesis", bed.emulators.kinesis_port)
        self.dynamodb = Client("dynamodb", bed.emulators.dynamodb_ports[version.store])
        self.results, self.workers, self.counts = [], [], {"java": 0, "forebay": 0}
        self.told, self.faults = [], []
        # Kinesis creates five at a time at most.
        with self.CREATING:
            self.kinesis.call("CreateStream", StreamName=self.stream, ShardCount=self.SHARDS)
            self.until_active()
        self.watch = Watch(self.dynamodb, self.table)
        self.producer = Producer(self.kinesis, self.stream, seed=self.stream)

    def until_active(self):
        def active():
            summary = self.kinesis.call("DescribeStreamSummary", StreamName=self.stream)
            return summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"

        wait(f"{self.stream} to be active", 30, active)

    # Workers

    def worker(self, kind, start="trim-horizon"):
        self.counts[kind] += 1
        name = f"{kind}-{self.counts[kind]}"
        shared = (self.bed, self.version, name, self.stream, self.table, self.failover, self.idle, start)
        worker = Java(*shared, self.quick) if kind == "java" else Forebay(*shared, self.output)
        self.workers.append(worker)
        return worker

    def java(self, start="trim-horizon"):
        return self.worker("java", start)

    def forebay(self, start="trim-horizon"):
        return self.worker("forebay", start)

    def alive(self):
        return [worker for worker in self.workers if worker.child.poll() is None]

    # What is waited for

    def ledger(self):
        processed = [one for worker in self.workers for one in list(worker.processed())]
        return Ledger(dict(self.producer.put), processed, self.bed.loop.stalled)

    def settled(self, seconds):
        """Waits until all that was put before now is processed."""
        upto = set(self.producer.put)
        wait(
            f"the processing of {len(upto)} records",
            seconds,
            lambda: not upto - set(self.ledger().counts),
            pause=0.5,
        )

    def owned_by(self, seconds, *workers):
        """Waits until every open lease belongs to one of these and they have the same number of leases, give or take one."""
        names = {worker.name for worker in workers}

        def shared():
            owners = set(self.watch.owners().values())
            counts = [count for name, count in self.watch.counts().items() if name in names]
            return owners and owners <= names and len(counts) == len(names) and max(counts) - min(counts) <= 1

        try:
            return wait(f"all leases to belong to {sorted(names)}", seconds, shared)
        except Exception as late:
            raise type(late)(f"{late}: {self.watch.counts()}") from None

    def steady(self, seconds):
        """For so long no lease moves, and each record is processed once, by the owner of its lease."""
        # A victim learns of a steal at its next renewal.
        time.sleep(self.failover / 3 + 1)
        started, owners = time.time(), self.watch.owners()
        changes = len(self.watch.changes)
        time.sleep(seconds)
        ended = time.time()
        self.settled(30)
        moved = [change for change in self.watch.changes[changes:] if change[3] != "deleted"]
        if moved:
            raise AssertionError(f"leases moved although nothing happened: {moved}")
        ledger = self.ledger()
        for one in ledger.processed:
            put = ledger.put.get(one.number)
            # Records put since the start only: the ones before may have been read twice when the lease moved.
            if put is None or put.at < started or put.at > ended or put.shard not in owners:
                continue
            if one.worker != owners[put.shard]:
                raise AssertionError(f"{one.worker} processed record {one.number} of {owners[put.shard]}'s {put.shard}")
            if ledger.counts[one.number] != 1:
                raise AssertionError(f"record {one.number} was processed {ledger.counts[one.number]} times")

    def row(self, key):
        """As last seen: Java deletes the rows of ended shards."""
        return self.watch.last[key]

    @contextlib.contextmanager
    def scenario(self, name):
        """One line of the table; what happens inside must hold, and afterwards nothing may be lost."""
        started, changes, duplicates = time.time(), len(self.watch.changes), self.ledger().duplicates()
        self.told, self.faults, passed = [], [], False
        before = (len(self.watch.faults), len(self.watch.history))
        try:
            yield
            self.settled(60)
            moved = [change for change in self.watch.changes[changes:] if change[2] != change[3]]
            again = self.ledger().duplicates() - duplicates
            # What lies between two checkpoints of the old owner and until it learns of its loss is under one failover
            # time. Shards of a dead owner may move twice, each time with a backlog of up to three: the second taker
            # reads it again. Over TCP ours waits up to 5 s for the receiver's acceptance.
            rate = self.producer.entries * 1.5 / self.producer.INTERVAL / self.SHARDS
            bound = int(len(moved) * rate * (3 * self.failover + (8 if self.output == "tcp" else 3)))
            if again > bound:
                raise AssertionError(f"{again} duplicates, more than {bound} for {len(moved)} owner changes")
            self.told += [f"{len(moved)} owner changes", f"{again} duplicates"]
            self.faults += self.watch.faults[before[0] :]
            self.faults += self.ledger().checkpoints_ahead(self.watch.history[before[1] :])
            if self.faults:
                raise AssertionError("; ".join(self.faults[:5]))
            passed = True
        except Exception as failure:  # noqa: BLE001 - told in the table
            self.told.insert(0, f"{type(failure).__name__}: {failure}")
            raise
        finally:
            result = Result(self.version.label, self.name, name, passed, time.time() - started, list(self.told))
            self.results.append(result)
            print(f"{'ok' if passed else 'FAILED'}: KCL {result.version}: {name} ({result.took:.0f} s): "
                  f"{', '.join(result.told)}", flush=True)

    def finish(self):
        """What holds for the whole story: nothing lost, order kept, rows and logs clean."""
        with self.scenario("all records, rows and logs of the story"):
            self.producer.stop()
            self.settled(60)
            for worker in self.alive():
                worker.stop()
            ledger = self.ledger()
            self.told.append(f"{len(ledger.put)} records")
            if ledger.missing():
                self.faults.append(f"lost: {ledger.missing()[:10]}")
            self.faults += ledger.children_before_parents(self.watch.parents)
            ordered = {worker.name for worker in self.workers if worker.is_ordered}
            back, moves = ledger.steps_back(ordered), len(self.watch.changes)
            if back > moves:
                self.faults.append(f"{back} steps back within a worker for {moves} owner changes")
            for worker in self.workers:
                self.faults += [f"{worker.name}: {line[:300]}" for line in worker.complaints()[:5]]

    def close(self):
        self.producer.stopping.set()
        self.watch.stop()
        for worker in self.workers:
            if worker.child.poll() is None:
                worker.kill()
            worker.close()


# Times. The Java taker passes every 2 x failover and has to see a counter unchanged over two passes; ours looks every
# 1.5 s and at the moment of expiry. NOISE is for two busy cores.
NOISE = 10


def join_forebay(story, java):
    forebay = story.forebay()
    took = story.owned_by(2 * 5 + 5 + NOISE, java, forebay)
    story.told.append(f"shared after {took:.1f} s")
    return forebay


def join_java(story, forebay):
    java = story.java()
    took = story.owned_by(10 + 3 * 2 * story.failover + NOISE, java, forebay)
    story.told.append(f"shared after {took:.1f} s")
    return java


def java_alone(story):
    story.producer.start()
    java = story.java()
    # On an empty table it waits 1 to 30 s before it creates leases.
    story.owned_by(45 + 2 * story.failover + NOISE, java)
    story.settled(60)
    return java


def forebay_alone(story):
    """From LATEST, so that rows carry the time at which ours pins it: an attribute that Java does not know.

    Java starts a row at LATEST anew at the time it takes it, so it joins after the first checkpoints.
    """
    forebay = story.forebay("latest")
    story.told.append(f"all leases after {story.owned_by(5 + NOISE, forebay):.1f} s")
    if not all("forebayStartAt" in row for row in story.watch.rows.values()):
        raise AssertionError("a row at LATEST does not say since when")
    story.producer.start()
    wait(
        "a first checkpoint in each row",
        20 + NOISE,
        lambda: all(row["checkpoint"]["S"].isdigit() for row in story.watch.rows.values()),
    )
    return forebay


def taken_over(story, since, seconds, *by):
    story.owned_by(seconds, *by)
    took = time.time() - since
    story.told.append(f"taken over after {took:.1f} s")


def java_takes_dead(story):
    """Seconds, as the two below."""
    return 4 * story.failover + NOISE


def java_takes_released(story):
    passes = 2 if story.version.takes_released else 4
    return passes * story.failover + NOISE


def forebay_takes_dead(story):
    return 1.2 * story.failover + 2 + NOISE / 2


def pending(story, java):
    """Leaves a prepared, never committed checkpoint in a lease of `java`."""
    java.say("prepare")
    wait("a prepared checkpoint", 20, lambda: java.events("prepared"))
    with_pending = {key for key, row in story.watch.rows.items() if "pendingCheckpoint" in row}
    wait("a row with it", 10, lambda: any("pendingCheckpoint" in row for row in story.watch.rows.values()))
    return with_pending


def crash(story):
    """Java first, a clean stop of ours, and both ways to die."""
    with story.scenario("Java first, ours joins"):
        java = java_alone(story)
        forebay = join_forebay(story, java)
        story.steady(story.failover)
    with story.scenario("kill -9 ours"):
        killed = forebay.kill()
        taken_over(story, killed, java_takes_dead(story), java)
    with story.scenario("graceful stop of ours"):
        forebay = join_forebay(story, java)
        stopped = forebay.stop()
        taken_over(story, stopped, java_takes_released(story), java)
    with story.scenario("kill -9 Java, a prepared checkpoint left behind"):
        forebay = join_forebay(story, java)
        pending(story, java)
        killed = java.kill()
        taken_over(story, killed, forebay_takes_dead(story), forebay)
        story.settled(30)
        wait(
            "pending checkpoints to go with the next checkpoint",
            story.failover + NOISE,
            lambda: not any("pendingCheckpoint" in row for row in story.watch.rows.values()),
        )
    story.finish()


def migration(story):
    """Ours first, a reshard, clean stops of either, and the whole way Java -> ours -> Java."""
    with story.scenario("ours first, Java joins"):
        forebay = forebay_alone(story)
        java = join_java(story, forebay)
        story.steady(story.failover)
    with story.scenario("split and merge with both"):
        reshard(story)
        story.owned_by(30 + 4 * story.failover + NOISE, java, forebay)
        story.settled(60)
    with story.scenario("a row of ours is deleted by hand"):
        delete_row(story, forebay)
        story.owned_by(30, java, forebay)
    with story.scenario("Java deletes the rows of ended shards"):
        parents = {key for key, row in story.watch.rows.items() if row["checkpoint"]["S"] == "SHARD_END"}
        stopped = forebay.stop()
        taken_over(story, stopped, java_takes_released(story), java)
        took = wait("the rows to go", 60 + NOISE, lambda: not parents & set(story.watch.rows))
        story.told.append(f"{len(parents)} rows deleted after {took:.0f} s")
    with story.scenario("graceful stop of Java"):
        forebay = join_forebay(story, java)
        stopped = java.stop()
        if any("TimeoutException" in " ".join(more) for *_, more in java.events("stopped")):
            story.told.append("the KCL's shutdown did not end within 20 s")
        # The KCL does not release its leases: they expire.
        taken_over(story, stopped, forebay_takes_dead(story), forebay)
    with story.scenario("migration Java -> ours -> Java"):
        java = join_java(story, forebay)
        stopped = forebay.stop()
        taken_over(story, stopped, java_takes_released(story), java)
        story.steady(story.failover)
    story.finish()


def latest(story):
    """Quiet shards at LATEST: ours reads from the time it knows of, also what came while nobody was alive."""
    with story.scenario("Java dies at LATEST before its first record"):
        java = story.java("latest")
        story.owned_by(45 + 2 * story.failover + NOISE, java)
        forebay = join_forebay(story, java)
        if any(row["checkpoint"]["S"] != "LATEST" for row in story.watch.rows.values()):
            raise AssertionError("a row left LATEST without a record")
        killed = java.kill()
        story.producer.start()
        taken_over(story, killed, forebay_takes_dead(story), forebay)
        story.settled(30)
    story.finish()


def fleet(story):
    """Two workers of each kind; one of each dies."""
    with story.scenario("two of each: shared out, then nothing moves"):
        first = java_alone(story)
        workers = [first, story.forebay(), story.forebay(), story.java()]
        took = story.owned_by(30 + 8 * 2 * story.failover, *workers)
        story.told.append(f"shared after {took:.1f} s")
        story.steady(4 * story.failover)
    with story.scenario("kill -9 one of each"):
        killed = [worker.kill() for worker in workers[:2]][1]
        taken_over(story, killed, 30 + 8 * 2 * story.failover, *workers[2:])
        story.steady(4 * story.failover)
    story.finish()


def delete_row(story, worker):
    """As an operator might; the owner knows the position and writes the row again."""
    keys = [key for key, owner in story.watch.owners().items() if owner == worker.name]
    wait("a checkpoint", 20, lambda: any(story.row(key)["checkpoint"]["S"].isdigit() for key in keys))
    key = next(key for key in keys if story.row(key)["checkpoint"]["S"].isdigit())
    position = story.row(key)["checkpoint"]["S"]
    for one in story.workers:
        one.may_also_say.append((f"Child lease {key} for completed shard not found", "it is deleted here"))
    story.dynamodb.call("DeleteItem", TableName=story.table, Key={"leaseKey": {"S": key}})
    took = wait(f"{key} to be written again", story.failover + NOISE, lambda: written_again(story, key))
    story.told.append(f"written again after {took:.1f} s")
    found = story.row(key)["checkpoint"]["S"]
    if not found.isdigit() or int(found) < int(position):
        story.faults.append(f"{key} was at {position} and is at {found}")


def written_again(story, key):
    deleted = [at for at, changed, _, owner in story.watch.changes if changed == key and owner == "deleted"]
    return deleted and key in story.watch.rows


def reshard(story):
    """Splits the first shard, merges the last two; waits until the old ones are done and the new ones have owners."""
    shards = [f"shardId-{number:012d}" for number in range(7)]
    story.kinesis.call(
        "SplitShard",
        StreamName=story.stream,
        ShardToSplit=shards[0],
        NewStartingHashKey=str(2**128 // story.SHARDS // 2),
    )
    story.until_active()
    story.kinesis.call(
        "MergeShards", StreamName=story.stream, ShardToMerge=shards[2], AdjacentShardToMerge=shards[3]
    )
    story.until_active()
    expected = {shards[1], shards[4], shards[5], shards[6]}
    took = wait(
        "the children to have owners",
        40 + 4 * story.failover + NOISE,
        lambda: set(story.watch.owners()) == expected and None not in story.watch.owners().values(),
    )
    story.told.append(f"children owned after {took:.1f} s")
    for parent, children in ((0, {4, 5}), (2, {6}), (3, {6})):
        row = story.row(shards[parent])
        found = set(row.get("childShardIds", {}).get("SS", []))
        if found != {shards[child] for child in children}:
            story.faults.append(f"{shards[parent]} names the children {found}")
    for child, parents in ((4, {0}), (5, {0}), (6, {2, 3})):
        row = story.row(shards[child])
        found = set(row.get("parentShardId", {}).get("SS", []))
        if found != {shards[parent] for parent in parents}:
            story.faults.append(f"{shards[child]} names the parents {found}")
        if "startingHashKey" not in row:
            story.faults.append(f"{shards[child]} has no hash range")
