"""The two kinds of workers, as processes: a consumer on the real KCL, and `forebay run`."""

import re
import signal
import subprocess
import time

from bed import TOOLS, wait
from ledger import Lines, Receiver
from proxy import Proxy

# What a Java worker may complain about, each with the reason. Anything else in its log is a finding.
JAVA_MAY_SAY = [
    (r"Worker createClient: Received configuration for", "KCL 1.x, for any endpoint and region"),
    (r"createShardSyncStrategy: LeaderDecider cannot be customized", "KCL 1.x, at every start"),
    (r"with SHARD_END reason without creating leases", "KCL 1.x takes a lease of a shard that was read to its end"),
    (r"Unable to clean up lease .*wereChildShardsPresent=true", "its children are not begun yet"),
    (r"Base64 warn: JAXB is unavailable", "SDK 1.x on Java 17"),
    (r"Did not find an operating range metadata provider", "KCL 3.x outside of EC2 and ECS"),
    (r"Worker.run caught exception.*LeaderDecider uninitialized", "KCL 3.x while it stops"),
    (r"Not able to assign all expiredOrUnAssignedLeases", "the leader of KCL 3.x before its workers have reported"),
    (
        r"lease taking thread.*NullPointerException.*mostLoadedWorkerIdentifier",
        "KCL 1.x counts leases that a graceful stop left without an owner as those of a worker named null; the next round works",
    ),
    (r"Cannot get the shard for this ProcessTask", "a shard younger than the KCL's cached listing"),
]
FOREBAY_MAY_SAY = [
    (r"mode of the fleet: a KCL 3.x leader assigns leases", "it does, in these scenarios"),
    (r"lease lost .*TakenAway", "a Java worker took its share"),
    (r"the outcome of the write is not known.*no answer within", "the machine stood still; the row is read back"),
    (r"lease lost .*Deleted", "by hand, in the scenario that does so"),
]


class Worker:
    """A process with its own proxies, so that its calls are known."""

    def __init__(self, bed, version, name, stream, table):
        self.name, self.stream, self.table = name, stream, table
        self.log = bed.folder / f"{stream}-{name}.log"
        self.kinesis = Proxy(bed.loop, bed.emulators.kinesis_port)
        self.dynamodb = Proxy(bed.loop, bed.emulators.dynamodb_ports[version.store])
        self.started = time.time()
        self.child = None
        # What a story lets happen, beside the lists above.
        self.may_also_say = []

    def kill(self):
        """kill -9."""
        self.child.kill()
        self.child.wait(10)
        return time.time()

    def memory(self):
        """Resident bytes now, and the highest so far."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as status:
            values = dict(line.split(":", 1) for line in status)
        return tuple(int(values[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))

    def close(self):
        self.kinesis.close()
        self.dynamodb.close()


class Java(Worker):
    """A consumer of `tests/interop/kclN`."""

    is_ordered = True

    def __init__(self, bed, version, name, stream, table, failover, idle, start, quick):
        super().__init__(bed, version, name, stream, table)
        self.path = self.log.with_suffix(".ledger")
        folder = TOOLS / "interop" / version.module
        command = ["java", "-cp", f"{folder}/consumer.jar:{folder}/lib/*"]
        # Starts in a third of the time on the two cores of a test machine; left out where figures are compared.
        command += ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if quick else []
        command += [
            # The emulators do not speak CBOR.
            "-Daws.cborEnabled=false",
            "-Dcom.amazonaws.sdk.disableCbor=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-Djava.util.logging.SimpleFormatter.format=%1$tH:%1$tM:%1$tS.%1$tL %4$s %2$s: %5$s%6$s%n",
            "forebay.interop.Consumer",
            f"stream={stream}",
            f"application={table}",
            f"worker={name}",
            f"kinesis=http://127.0.0.1:{self.kinesis.port}",
            f"dynamodb=http://127.0.0.1:{self.dynamodb.port}",
            f"failover={int(failover * 1000)}",
            f"idle={int(idle * 1000)}",
            # After its first shard sync the KCL sleeps for this interval before it takes a lease. 60 s by default.
            f"sync={500 if quick else 60_000}",
            f"lock={12_000 if quick else 120_000}",
            # A fifth of the age at which leases of ended shards are deleted: 1 and 5 minutes by default.
            f"cleanup={3000 if quick else 60_000}",
            f"start={start.upper().replace('-', '_')}",
            f"mode={version.mode}",
        ]
        with open(self.path, "wb") as ledger:
            self.child = bed.processes.start(command, self.log, stdin=subprocess.PIPE, stdout=ledger)
        self.lines = Lines(self.path, name)

    def say(self, command):
        self.child.stdin.write(command.encode() + b"\n")
        self.child.stdin.flush()

    def stop(self, seconds=40):
        """The KCL's graceful shutdown, of which the consumer waits 20 s at most; returns when it began."""
        self.say("stop")
        began = time.time()
        wait(f"{self.name} to end", seconds, lambda: self.child.poll() is not None)
        return began

    def processed(self):
        self.lines.read()
        return self.lines.processed

    def events(self, kind):
        self.lines.read()
        return [event for event in self.lines.events if event[0] == kind]

    def complaints(self):
        """Lines of warning or worse that nothing explains."""
        level = re.compile(r"\b(WARN|WARNING|ERROR|SEVERE)\b")
        lines = self.log.read_text(errors="replace").splitlines()
        # The exception, if there is one, is on the next line.
        pairs = [line + " " + after for line, after in zip(lines, lines[1:] + [""]) if level.search(line)]
        return [pair for pair in pairs if not explained(pair, JAVA_MAY_SAY + self.may_also_say)]


class Forebay(Worker):
    """`forebay run` with a GELF receiver of its own."""

    def __init__(self, bed, version, name, stream, table, failover, idle, start, output):
        super().__init__(bed, version, name, stream, table)
        # Over TCP messages arrive in order, and are accepted up to 5 s later by an orderly close of the connection.
        # Over HTTP several requests are under way at a time, and each is accepted at once.
        self.is_ordered = output == "tcp"
        self.receiver = Receiver(bed.loop, name, output)
        config = self.log.with_suffix(".toml")
        config.write_text(
            f"""
[service]
worker_id = "{name}"
log = "info,forebay_kinesis=debug"
[aws.default]
region = "eu-west-1"
access_key = "AKIAEXAMPLE"
secret_key = {{ env = "INTEROP_SECRET" }}
[aws.default.endpoints]
kinesis = "http://127.0.0.1:{self.kinesis.port}"
dynamodb = "http://127.0.0.1:{self.dynamodb.port}"
[kinesis.interop]
stream = "{stream}"
decode = "cloudwatch"
start = "{start}"
read_interval = "{int(idle * 1000)}ms"
[kinesis.interop.lease]
table = "{table}"
failover = "{int(failover * 1000)}ms"
[output.ledger]
protocol = "{output}"
address = ["127.0.0.1:{self.receiver.port}"]
[dead_letter]
path = "{self.log.with_suffix('.dead')}"
"""
        )
        environment = {"INTEROP_SECRET": "secret", "AWS_EC2_METADATA_DISABLED": "true", "PATH": "/usr/bin:/bin"}
        self.child = bed.processes.start([str(bed.binary), "run", "--config", str(config)], self.log, env=environment)

    def stop(self, seconds=40):
        """SIGTERM; the exit code must be 0."""
        self.child.send_signal(signal.SIGTERM)
        wait(f"{self.name} to end", seconds, lambda: self.child.poll() is not None)
        if self.child.returncode != 0:
            raise AssertionError(f"{self.name} ended with {self.child.returncode}; see {self.log}")
        return time.time()

    def processed(self):
        return self.receiver.processed

    def complaints(self):
        lines = self.log.read_text(errors="replace").splitlines()
        level = re.compile(r"\b(WARN|ERROR)\b|panicked")
        return [line for line in lines if level.search(line) and not explained(line, FOREBAY_MAY_SAY)]

    def close(self):
        super().close()
        self.receiver.close()


def explained(line, allowed):
    return any(re.search(pattern, line) for pattern, _ in allowed)
