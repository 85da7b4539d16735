"""Writes docs/interop.md from the results of a run."""

import datetime
import os
import subprocess

from bed import DYNALITE, KINESIS_LOCAL, MINISTACK, REPOSITORY


def write(path, results, figures, failover, seconds):
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()[0]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout.strip()
    day = datetime.date.today().isoformat()
    lines = [
        "# Beside the Java KCL",
        "",
        "Written by `tests/interop.sh full`. `forebay run` and workers on the real Java KCL share streams and lease",
        "tables on emulators that neither side's authors wrote for this purpose; a driver puts numbered records, one in",
        "four as a KPL aggregate of three, and compares what both sides processed.",
        "",
        f"Run of {day}, commit {commit}, {os.cpu_count()} cores, {seconds / 60:.0f} minutes; {java}; kinesis-local {KINESIS_LOCAL}; ministack",
        f"{MINISTACK} for the lease tables of KCL 2.x and 3.x, dynalite {DYNALITE} for those of 1.x.",
        "",
        "## Scenarios",
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
    versions = list(dict.fromkeys(result.version for result in results))
    for version in versions:
        lines += [f"### KCL {version}", "", "| Scenario | Result | Seen |", "|---|---|---|"]
        for result in results:
            if result.version == version:
                told = "; ".join(result.told).replace("|", "/").replace("\n", " ")
                lines.append(f"| {result.scenario} | {'holds' if result.passed else '**fails**'} | {told} |")
        lines.append("")
    if figures:
        lines += side_by_side(figures)
    path.write_text("\n".join(lines))


def side_by_side(figures):
    lines = [
        "## Side by side",
        "",
        "Default settings of both (failover time 10 s, a read every second, the JVM's own choice of heap and collector),",
        "four shards, 12 records a second. Both kinds run at the same time, each on a stream and table of its own.",
        "Calls are counted at a proxy. `forebay` is the debug build, its output GELF over HTTP.",
        "",
        "| | " + " | ".join(f"KCL {version.label} | forebay" for version in figures) + " |",
        "|---|" + "---:|" * (2 * len(figures)),
    ]
    names = list(next(iter(figures.values()))["java"])
    for name in names:
        cells = [number(kinds[kind].get(name)) for kinds in figures.values() for kind in ("java", "forebay")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines + [""]


def number(value):
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.1f}"
