"""Watches a lease table and checks every row that it sees by the rules of the Java readers."""

import threading
import time
from collections import Counter

from aws import Refused

# What Java reads and writes (spec: KCL 1.15 to 3.5), with the DynamoDB type, and the one attribute that is ours.
TYPES = {
    "leaseKey": "S",
    "leaseOwner": "S",
    "leaseCounter": "N",
    "ownerSwitchesSinceCheckpoint": "N",
    "checkpoint": "S",
    "checkpointSubSequenceNumber": "N",
    "pendingCheckpoint": "S",
    "pendingCheckpointSubSequenceNumber": "N",
    "pendingCheckpointState": "B",
    "parentShardId": "SS",
    "childShardIds": "SS",
    "startingHashKey": "S",
    "endingHashKey": "S",
    "throughputKBps": "N",
    "checkpointOwner": "S",
    "entityType": "S",
    "forebayStartAt": "N",
}
REQUIRED = ["leaseKey", "leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint", "checkpointSubSequenceNumber"]
SENTINELS = ["AT_TIMESTAMP", "TRIM_HORIZON", "LATEST"]
# Planted into every row by the driver: whoever rewrites a row instead of updating it loses this.
FOREIGN = "interopForeignAttribute"


def position(checkpoint, sub_sequence):
    """The order in which checkpoints may only grow."""
    if checkpoint == "SHARD_END":
        return (2, 0, 0)
    if checkpoint in SENTINELS:
        return (0, SENTINELS.index(checkpoint), 0)
    return (1, int(checkpoint), sub_sequence)


def faults_of(row):
    """What a Java reader would refuse, or would not understand."""
    key = row.get("leaseKey", {}).get("S", "?")
    faults = [f"{key}: {name} is missing" for name in REQUIRED if name not in row]
    for name, value in row.items():
        kind, content = next(iter(value.items()))
        if name == FOREIGN:
            continue
        if name not in TYPES:
            faults.append(f"{key}: unknown attribute {name}")
        elif kind != TYPES[name]:
            faults.append(f"{key}: {name} is of type {kind}, not {TYPES[name]}")
        elif not content:
            faults.append(f"{key}: {name} is empty")
    if faults:
        return faults
    checkpoint = row["checkpoint"]["S"]
    if not checkpoint.isdigit() and checkpoint not in SENTINELS and checkpoint != "SHARD_END":
        faults.append(f"{key}: checkpoint {checkpoint} is neither a number nor a sentinel")
    if ("startingHashKey" in row) != ("endingHashKey" in row):
        faults.append(f"{key}: one hash key without the other")
    elif "startingHashKey" in row and int(row["startingHashKey"]["S"]) >= int(row["endingHashKey"]["S"]):
        faults.append(f"{key}: hash keys out of order")
    if ("pendingCheckpoint" in row) != ("pendingCheckpointSubSequenceNumber" in row):
        faults.append(f"{key}: one part of the pending checkpoint without the other")
    if "pendingCheckpointState" in row and "pendingCheckpoint" not in row:
        faults.append(f"{key}: a pending state without a pending checkpoint")
    if checkpoint in SENTINELS + ["SHARD_END"] and row["checkpointSubSequenceNumber"]["N"] != "0":
        faults.append(f"{key}: a sub-sequence number at {checkpoint}")
    return faults


class Watch:
    """Scans a lease table all the time; keeps who owned what since when, and every fault."""

    INTERVAL = 0.2

    def __init__(self, dynamodb, table):
        self.dynamodb, self.table = dynamodb, table
        self.rows, self.faults, self.changes, self.history = {}, [], [], []
        self.planted, self.parents, self.last = set(), {}, {}
        self.others = {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join(30)

    def run(self):
        while not self.stopping.wait(self.INTERVAL):
            try:
                items = self.dynamodb.call("Scan", TableName=self.table, ConsistentRead=True)["Items"]
                self.look(items, time.time())
            except Refused as refused:
                # The table appears with the first worker; a row may go before the foreign attribute is planted.
                if refused.kind not in ("ResourceNotFoundException", "ConditionalCheckFailedException"):
                    self.faults.append(str(refused))
            except OSError:
                continue

    def look(self, items, now):
        leases = {}
        for item in items:
            if item.get("entityType", {}).get("S", "LEASE") == "LEASE":
                leases[item["leaseKey"]["S"]] = item
            else:
                self.others[item["leaseKey"]["S"]] = item
        for key, row in leases.items():
            self.compare(key, self.rows.get(key), row, now)
        for key in self.rows.keys() - leases.keys():
            self.changes.append((now, key, owner(self.rows[key]), "deleted"))
            self.planted.discard(key)
            self.deleted(key, self.rows[key], leases)
        self.rows = leases
        self.last.update(leases)
        for key in leases.keys() - self.planted:
            self.dynamodb.call(
                "UpdateItem",
                TableName=self.table,
                Key={"leaseKey": {"S": key}},
                ConditionExpression="attribute_exists(leaseKey)",
                UpdateExpression=f"SET {FOREIGN} = :v",
                ExpressionAttributeValues={":v": {"S": "kept"}},
            )
            self.planted.add(key)

    def deleted(self, key, row, leases):
        """The oldest generation goes first, and only when all children were begun. A row not at its end was deleted
        by the driver."""
        if row["checkpoint"]["S"] != "SHARD_END":
            return
        children = row.get("childShardIds", {}).get("SS", [])
        begun = [leases[child]["checkpoint"]["S"] != "TRIM_HORIZON" for child in children if child in leases]
        if not children or len(begun) < len(children) or not all(begun):
            self.faults.append(f"{key} was deleted before its children {children} were begun")
        older = [parent for parent in row.get("parentShardId", {}).get("SS", []) if parent in leases]
        if older:
            self.faults.append(f"{key} was deleted before its parents {older}")

    def compare(self, key, before, row, now):
        fresh = [fault for fault in faults_of(row) if fault not in self.faults]
        self.faults += fresh
        self.parents[key] = row.get("parentShardId", {}).get("SS", [])
        checkpoint = (row["checkpoint"]["S"], int(row["checkpointSubSequenceNumber"]["N"]))
        if before is None:
            self.history.append((now, key, *checkpoint))
            self.changes.append((now, key, None, owner(row)))
            return
        if FOREIGN in before and FOREIGN not in row:
            self.faults.append(f"{key}: an attribute that nobody knows was lost")
        for name in ("parentShardId", "startingHashKey", "endingHashKey", "childShardIds"):
            if name in before and normal(before[name]) != normal(row.get(name)):
                self.faults.append(f"{key}: {name} changed from {before[name]} to {row.get(name)}")
        counters = [int(one["leaseCounter"]["N"]) for one in (before, row)]
        if counters[1] < counters[0]:
            self.faults.append(f"{key}: leaseCounter fell from {counters[0]} to {counters[1]}")
        if owner(before) != owner(row):
            self.changes.append((now, key, owner(before), owner(row)))
            if counters[1] == counters[0] and "checkpointOwner" not in row:
                self.faults.append(f"{key}: a new owner with the old counter")
        earlier = (before["checkpoint"]["S"], int(before["checkpointSubSequenceNumber"]["N"]))
        # A stored checkpoint and a prepared one start the count anew.
        if earlier == checkpoint and "pendingCheckpoint" not in row:
            switches = [int(one["ownerSwitchesSinceCheckpoint"]["N"]) for one in (before, row)]
            # The start of a handoff names the next owner already, and counts nothing.
            moved = None not in (owner(before), owner(row)) and owner(before) != owner(row)
            moved = moved and "checkpointOwner" not in before.keys() | row.keys()
            # Two writes since the last look: the row was free in between, and taking a free one counts nothing either.
            moved = moved and counters[1] == counters[0] + 1
            if switches[1] - switches[0] < moved:
                self.faults.append(f"{key}: {switches[1]} owner switches after {switches[0]}, owner changed: {moved}")
        if earlier != checkpoint:
            self.history.append((now, key, *checkpoint))
            if position(*checkpoint) < position(*earlier):
                self.faults.append(f"{key}: checkpoint fell from {earlier} to {checkpoint}")
            if "pendingCheckpoint" in row and "pendingCheckpoint" in before:
                if row["pendingCheckpoint"] == before["pendingCheckpoint"]:
                    self.faults.append(f"{key}: a checkpoint left the pending one behind")

    def owners(self):
        """Owner of each lease that is not at its end."""
        rows = dict(self.rows)
        return {key: owner(row) for key, row in rows.items() if row["checkpoint"]["S"] != "SHARD_END"}

    def counts(self):
        """Leases per owner. Those at their end count like the others, as in the balance of both sides."""
        return Counter(owner(row) for row in list(self.rows.values()))


def owner(row):
    return row.get("leaseOwner", {}).get("S")


def normal(value):
    """Sets have no order."""
    return {kind: sorted(content) if isinstance(content, list) else content for kind, content in (value or {}).items()}
