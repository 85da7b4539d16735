"""Runs the interop scenarios; see tests/interop.sh."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import assigned
import report
import stories
from bed import REPOSITORY, Emulators, Patience, Processes, install
from figures import compare
from proxy import Loop
from stories import VERSIONS, Result, Story


@dataclass
class Bed:
    """What all stories of a run share."""

    processes: Processes
    emulators: Emulators
    loop: Loop
    folder: Path
    binary: Path


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="forebay-interop-"))
    install(folder / "install.log")
    processes, figures = Processes(), {}

    done = threading.Event()

    def limit():
        patience = Patience(arguments.limit)
        while not patience.is_over():
            if done.wait(1):
                return
        print(f"interop: not done within {arguments.limit} s; logs in {folder}", flush=True)
        processes.end()
        os._exit(1)

    threading.Thread(target=limit, daemon=True).start()
    try:
        bed = Bed(processes, Emulators(processes, folder), Loop(), folder, arguments.binary)
        results = run(bed, arguments)
        if arguments.figures:
            compared = [key for key in COMPARED if key in arguments.versions.split(",")]
            with ThreadPoolExecutor(len(COMPARED)) as pool:
                running = {VERSIONS[key]: pool.submit(compare, bed, VERSIONS[key]) for key in compared}
            for version, future in running.items():
                try:
                    figures[version.label] = future.result()
                except Exception as failure:  # noqa: BLE001 - told as a failed line
                    results.append(Result(version.label, "figures", "figures", False, 0, [f"{type(failure).__name__}: {failure}"]))
        bed.loop.end()
    finally:
        done.set()
        processes.end()
    for version, kinds in figures.items():
        for name in kinds["java"]:
            print(f"{name}: {report.number(kinds['java'][name])} KCL {version}, {report.number(kinds['forebay'][name])} ours")
    if arguments.write:
        report.write(arguments.write, results, figures, arguments.failover)
    failed = [result for result in results if not result.passed]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    late = [late for _, late in bed.loop.stalls]
    if late:
        print(f"the driver itself was late {len(late)} times, by {max(late):.1f} s at most")
    if failed or arguments.keep:
        print(f"logs in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if failed else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=REPOSITORY / "target/debug/forebay")
    parser.add_argument("--versions", default="1,2,3c,34,3")
    parser.add_argument("--stories", help="default: all that fit the version; `none` for the figures alone")
    parser.add_argument("--failover", type=float, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="stories at a time")
    parser.add_argument("--limit", type=int, default=3000, help="seconds for everything, on an idle machine")
    parser.add_argument("--figures", action="store_true", help="also compare start, failover, calls and memory")
    parser.add_argument("--write", type=Path, help="where the page of results goes")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    return parser.parse_args()


# Each with the output of ours.
TELLERS = {
    "crash": (stories.crash, "http"),
    "migration": (stories.migration, "tcp"),
    "fleet": (stories.fleet, "http"),
    "latest": (stories.latest, "http"),
    "java-first": (assigned.java_first, "http"),
    "ours-first": (assigned.ours_first, "tcp"),
    "ours-killed": (assigned.ours_killed, "http"),
}


# The versions whose figures are compared with ours.
COMPARED = ["1", "2", "3"]


def run(bed, arguments):
    todo = [
        (name, VERSIONS[version])
        for version in arguments.versions.split(",")
        for name in stories_of(VERSIONS[version])
        if arguments.stories is None or name in arguments.stories.split(",")
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        told = list(pool.map(lambda one: tell(bed, *one, arguments.failover), todo))
    return [result for results in told for result in results]


def stories_of(version):
    return ["crash", "migration", "fleet", "latest"] if version.mode == "2x" else ["java-first", "ours-first", "ours-killed"]


def tell(bed, name, version, failover):
    teller, output = TELLERS[name]
    story = Story(bed, version, name, output, failover)
    try:
        teller(story)
    except Exception as failure:  # noqa: BLE001 - already told as a failed scenario, if it was in one
        if not story.results or story.results[-1].passed:
            raise
        print(f"{story.stream}: the story ends here: {type(failure).__name__}", flush=True)
    finally:
        story.close()
    return story.results


if __name__ == "__main__":
    started = time.time()
    code = main()
    print(f"interop: {time.time() - started:.0f} s")
    sys.exit(code)
