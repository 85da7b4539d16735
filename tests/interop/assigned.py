"""Beside KCL 3.x with its leader: ours takes nothing, keeps what it holds, and gives it up cleanly."""

import re
import time

from aws import Refused
from bed import wait
from stories import NOISE, forebay_alone, forebay_takes_dead, java_alone, reshard, taken_over

MODE = re.compile(r"mode of the fleet.*ThreeX")
# Ours reads the mode of the fleet every minute.
MODE_READ = 60


def java_first(story):
    """Ours joins a fleet that has a leader."""
    with story.scenario("Java first, ours joins: ours takes nothing"):
        java = java_alone(story)
        forebay = story.forebay()
        knows_mode(story, forebay, NOISE)
        # Long enough for several passes of a taker that does not know its place.
        story.steady(4 * story.failover)
        nothing_taken(forebay)
    with story.scenario("graceful stop of ours: nothing changes"):
        forebay.stop()
        story.steady(story.failover)
        nothing_taken(forebay)
    with story.scenario("kill -9 Java beside ours: ours leaves the leases to the next Java worker"):
        forebay = story.forebay()
        knows_mode(story, forebay, NOISE)
        killed = java.kill()
        time.sleep(3 * story.failover)
        nothing_taken(forebay)
        java = story.java()
        taken_over(story, killed, java_takes(story), java)
        story.settled(60)
        nothing_taken(forebay)
    with story.scenario("the fleet is stopped and its mode removed by hand: migration to ours"):
        java.stop()
        story.dynamodb.call("DeleteItem", TableName=story.table, Key={"leaseKey": {"S": "Migration3.0"}})
        if has_mode(story):
            own_table = f"{story.table}-CoordinatorState"
            story.dynamodb.call("DeleteItem", TableName=own_table, Key={"key": {"S": "Migration3.0"}})
        taken_over(story, time.time(), MODE_READ + forebay_takes_dead(story) + NOISE, forebay)
        story.steady(story.failover)
    story.finish()


def ours_first(story):
    """A fleet with a leader is started beside ours, which goes on with what it holds until it is stopped."""
    with story.scenario("ours first, Java joins: ours keeps its leases and takes no more"):
        forebay, java = joined(story)
        story.steady(2 * story.failover)
        if story.watch.counts() != {forebay.name: story.SHARDS}:
            raise AssertionError(f"leases of ours were moved: {story.watch.counts()}")
    with story.scenario("split and merge of what ours holds: Java gets the children"):
        reshard(story)
        owners = story.watch.owners()
        if sorted(owners.values()) != [forebay.name] + 3 * [java.name]:
            raise AssertionError(f"leases of the children: {owners}")
        story.settled(60)
    with story.scenario("graceful stop of ours: migration to Java"):
        stopped = forebay.stop()
        taken_over(story, stopped, java_takes(story), java)
        story.steady(story.failover)
    story.finish()


def ours_killed(story):
    """As above, but ours dies."""
    with story.scenario("ours first, Java joins, kill -9 ours"):
        forebay, java = joined(story)
        killed = forebay.kill()
        taken_over(story, killed, java_takes(story), java)
        story.steady(story.failover)
    story.finish()


def joined(story):
    forebay = forebay_alone(story)
    java = story.java()
    wait("the fleet's mode in a table", 60, lambda: has_mode(story))
    knows_mode(story, forebay, MODE_READ + NOISE)
    return forebay, java


def has_mode(story):
    """KCL 3.5 keeps it in the lease table, 3.0 to 3.4 in one of its own."""
    for table, name in ((story.table, "leaseKey"), (f"{story.table}-CoordinatorState", "key")):
        try:
            if "Item" in story.dynamodb.call("GetItem", TableName=table, Key={name: {"S": "Migration3.0"}}):
                return True
        except Refused as refused:
            if refused.kind != "ResourceNotFoundException":
                raise
    return False


def java_takes(story):
    """The expiry has to be seen over two assignments, the new owner finds the lease at its next discovery."""
    return 3 * 2 * story.failover + 3 * story.failover + 2 * NOISE


def knows_mode(story, forebay, seconds):
    took = wait("ours to see the mode of the fleet", seconds, lambda: MODE.search(forebay.log.read_text()))
    story.told.append(f"mode seen after {took:.0f} s")


def nothing_taken(forebay):
    writes = [call for call in forebay.dynamodb.calls if call.operation in ("UpdateItem", "PutItem", "DeleteItem")]
    if writes or forebay.processed():
        raise AssertionError(f"{forebay.name} wrote to the lease table or read a shard: {writes[:2]}")
