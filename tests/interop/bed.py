"""What the scenarios run on: the Java consumers, the emulators and every process that was started."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
TOOLS = Path(os.environ.get("FOREBAY_TOOLS") or Path.home() / ".cache/forebay-tools")
KINESIS_LOCAL = "0.6.2"
MINISTACK = "1.5.33"
DYNALITE = "4.0.0"


class Processes:
    """Every child process; `end` leaves none behind."""

    def __init__(self):
        self.children, self.lock, self.closed = [], threading.Lock(), False

    def start(self, command, log, **options):
        with self.lock:
            if self.closed:
                raise RuntimeError("the run is over")
            with open(log, "ab") as errors:
                options.setdefault("stdin", subprocess.DEVNULL)
                options.setdefault("stdout", errors)
                # Signals of the terminal reach the driver, which ends its children in its own order.
                child = subprocess.Popen(command, stderr=errors, start_new_session=True, **options)
            self.children.append(child)
            return child

    def end(self):
        with self.lock:
            self.closed = True
            alive = [child for child in self.children if child.poll() is None]
        for child in alive:
            child.send_signal(signal.SIGCONT)
            child.kill()
        for child in alive:
            child.wait(10)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def install(log):
    """Installs the emulators and builds the consumers; quick when all is there."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    for package, version, file in (("kinesis-local", KINESIS_LOCAL, "main.js"), ("dynalite", DYNALITE, "cli.js")):
        folder = TOOLS / f"{package}-{version}"
        if not (folder / "node_modules" / package / file).exists():
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
            step(command + [f"{package}@{version}"], log)
    venv, wanted = TOOLS / f"ministack-{MINISTACK}", f"ministack=={MINISTACK}"
    marker = venv / ".installed"
    if not marker.exists() or marker.read_text().strip() != wanted:
        shutil.rmtree(venv, ignore_errors=True)
        step(["python3", "-m", "venv", str(venv)], log)
        step([str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", wanted], log)
        marker.write_text(wanted + "\n")
    consumers = ["mvn", "-q", "-B", f"-Dinterop.out={TOOLS}/interop", "-f", str(HERE / "pom.xml"), "package"]
    try:
        # Without the network when everything was downloaded before.
        step(consumers + ["-o"], log)
    except RuntimeError:
        step(consumers, log)


def step(command, log):
    with open(log, "ab") as output:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=900)
    if ended.returncode != 0:
        tail = Path(log).read_text(errors="replace").splitlines()[-15:]
        raise RuntimeError(" ".join(command) + " failed:\n" + "\n".join(tail))


class Emulators:
    """Kinesis and two DynamoDBs on free loopback ports.

    ministack answers 500 to the condition of a KCL 1.x checkpoint (`NE` with `Value`), dynalite cannot add the index
    of KCL 3.x to a table.
    """

    def __init__(self, processes, folder):
        self.kinesis_port, tls = free_port(), free_port()
        self.dynamodb_ports = {"ministack": free_port(), "dynalite": free_port()}
        package = TOOLS / f"kinesis-local-{KINESIS_LOCAL}/node_modules/kinesis-local"
        environment = dict(
            os.environ,
            KINESIS_MOCK_CERT_PATH=str(package / "server.json"),
            KINESIS_MOCK_PLAIN_PORT=str(self.kinesis_port),
            KINESIS_MOCK_TLS_PORT=str(tls),
            SHARD_LIMIT="500",
            LOG_LEVEL="ERROR",
        )
        started = [
            (
                "kinesis-local",
                self.kinesis_port,
                processes.start(["node", str(package / "main.js")], folder / "kinesis-local.log", env=environment),
            )
        ]
        for name, port in self.dynamodb_ports.items():
            environment = dict(os.environ)
            if name == "ministack":
                command = [str(TOOLS / f"ministack-{MINISTACK}/bin/ministack")]
                environment.update(BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port))
            else:
                cli = TOOLS / f"dynalite-{DYNALITE}/node_modules/dynalite/cli.js"
                command = ["node", str(cli), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "200"]
            started.append((name, port, processes.start(command, folder / f"{name}.log", env=environment)))
        for name, port, child in started:
            wait(f"{name} to listen", 60, lambda port=port: listens(port), alive=child)


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class TimedOut(Exception):
    """Something did not happen in its time."""


class Patience:
    """Seconds of a machine that has a core for each runnable task: on a busy one they pass more slowly."""

    def __init__(self, seconds):
        self.left, self.last = seconds, time.time()

    def is_over(self):
        now = time.time()
        self.left -= (now - self.last) / crowding()
        self.last = now
        return self.left < 0


def crowding():
    """Runnable tasks per core, over the last minute."""
    return max(1.0, os.getloadavg()[0] / os.cpu_count())


def wait(what, seconds, happened, alive=None, pause=0.1):
    """Waits until `happened()` is true; returns the seconds it took, of which there may be more on a busy machine."""
    started, patience = time.time(), Patience(seconds)
    while True:
        if happened():
            return time.time() - started
        if alive is not None and alive.poll() is not None:
            raise TimedOut(f"waiting for {what}: the process ended with {alive.returncode}")
        if patience.is_over():
            raise TimedOut(f"{what} did not happen within {seconds:.0f} s ({time.time() - started:.0f} s at this load)")
        time.sleep(pause)
