"""Writes docs/interop.md from the results of a run."""

import datetime
import json
import os
import subprocess

from bed import DYNALITE, KINESIS_LOCAL, MINISTACK, REPOSITORY
from stories import VERSIONS


LIMITS = """## What to know when both share a table

* A row at `LATEST` holds no position. A Java worker that takes it begins at that moment, so records that came since the
  last owner stopped are lost; Java loses them among its own workers, too. Ours begins at the time that it stored in the
  row (`forebayStartAt`) or, if Java made the row, at the time it first saw it. When Java is to take over from ours, let
  every shard have a first checkpoint before, or start at `trim-horizon`.
* KCL 1.x, and 2.x before 2.6, take a lease that ours has released only when it has expired, as if ours had died.
* The KCL never releases its leases, whichever way it is stopped: ours takes them when they expire.
* Beside KCL 3.x that has left its compatible mode, ours takes nothing. It reads the fleet's mode at start and every
  minute, goes on with what it holds, and gives it up when it is stopped or killed. To move a
  stream from such a fleet to ours, stop the fleet, then remove the item `Migration3.0` from the lease table (KCL 3.0 to
  3.4: from the table `APPLICATION-CoordinatorState`); ours takes the leases within a minute.
* Over TCP ours waits up to 5 s for proof that the receiver has read; these records come twice after a kill.

""".splitlines()


def write(path, results, figures, failover):
    """Replaces what this run has seen in the page's data beside it, then writes the page."""
    data = path.with_suffix(".json")
    known = json.loads(data.read_text()) if data.exists() else {"scenarios": {}, "figures": {}}
    run = {"day": datetime.date.today().isoformat(), "commit": commit(), "cores": os.cpu_count(), "java": java()}
    told = {(result.version, result.story) for result in results}
    for version, story in told:
        rows = [result for result in results if (result.version, result.story) == (version, story)]
        known["scenarios"].setdefault(version, {})[story] = {
            "run": {**run, "failover": failover},
            "rows": [[row.scenario, row.passed, row.told] for row in rows],
        }
    for version, kinds in figures.items():
        known["figures"][version] = {"run": run, **kinds}
    data.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    path.write_text("\n".join(page(known)))


def java():
    return subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()[0]


def commit():
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True).stdout.strip()


def runs(parts):
    """One line for all the runs that a table comes from."""
    texts = {f"{run['day']}, commit {run['commit']}, {run['cores']} cores, {run['java']}" for run in parts}
    return "Run of " + "; ".join(sorted(texts)) + "."


def page(known):
    lines = [
        "# Beside the Java KCL",
        "",
        "Written by `tests/interop.sh full`. `forebay run` and workers on the real Java KCL share streams and lease",
        "tables on emulators that others wrote; a driver puts numbered records, one in four as a KPL aggregate of three,",
        f"and compares what both sides processed. kinesis-local {KINESIS_LOCAL}; ministack {MINISTACK} for the lease tables of KCL 2.x",
        f"and 3.x, dynalite {DYNALITE} for those of 1.x. `tests/interop.sh --versions 2 --stories crash --write docs/interop.md`",
        "repeats a part.",
        "",
    ]
    if known["scenarios"]:
        lines += scenarios(known["scenarios"])
    lines += LIMITS
    if known["figures"]:
        lines += side_by_side(known["figures"])
    return lines


def scenarios(known):
    versions = [version.label for version in VERSIONS.values() if version.label in known]
    parts = [part for version in versions for part in known[version].values()]
    failover = max(part["run"]["failover"] for part in parts)
    lines = [
        "## Scenarios",
        "",
        runs([part["run"] for part in parts]),
        "",
        f"Failover time {failover:g} s; the KCL's pass over the lease table comes every {2 * (failover + 0.025):g} s. Checked in every",
        "scenario: each record put so far was processed; duplicates are bounded by what lies between two writes of the",
        "old owner; no checkpoint was in the table before everything below it was processed; counters and checkpoints",
        "only rose, shards at their end stayed there; each row kept an attribute that nobody knows, and parents,",
        "children and hash ranges, and has only attributes of the names and types that the Java readers accept. In",
        "steady phases no lease moved and each record was processed once, by the owner. At the end of each story no",
        "child was read before its parents were done, and neither side's log held an unexplained warning.",
        "",
    ]
    for version in versions:
        lines += [f"### KCL {version}", "", "| Scenario | Result | Seen |", "|---|---|---|"]
        for part in known[version].values():
            for scenario, passed, told in part["rows"]:
                text = "; ".join(told).replace("|", "/").replace("\n", " ")
                lines.append(f"| {scenario} | {'holds' if passed else '**fails**'} | {text} |")
        lines.append("")
    return lines


def side_by_side(figures):
    lines = [
        "## Side by side",
        "",
        "Default settings of both (failover time 10 s, a read every second, the JVM's own choice of heap and collector),",
        "four shards, 12 records a second. Both kinds run at the same time, each on a stream and table of its own.",
        "Calls are counted at a proxy. `forebay` is the debug build, its output GELF over HTTP.",
        "",
        runs([kinds["run"] for kinds in figures.values()]),
        "",
        "| | " + " | ".join(f"KCL {version} | forebay" for version in figures) + " |",
        "|---|" + "---:|" * (2 * len(figures)),
    ]
    names = list(next(iter(figures.values()))["java"])
    for name in names:
        cells = [number(kinds[kind].get(name)) for kinds in figures.values() for kind in ("java", "forebay")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines + [""]


def number(value):
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.1f}"
