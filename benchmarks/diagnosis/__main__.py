"""Planted faults: how often a diagnosis is right, how often a healthy training is given a name, what remedies repair.

    python benchmarks/diagnosis [--data-dir DIR] [--sets NAME ...] [--repair] [--output FILE]

Prints the confusion tables of the parts that thresholds were developed on and of the part that is only scored, with
Wilson's 95 % intervals. `--repair` puts every fault through the remedies' rounds as well.
"""

import argparse
import sys
from collections import Counter
from math import sqrt
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import Bench
from planted import ACCEPTED, DEVELOPED, SCORED, SEEN, Planted, held_out, planted
from repair import UNTOUCHED, Course, courses, trained

PARTS = ("Developed on", "Strengths held out", "Scored once, then one rule changed", "Only scored")
Found = tuple[str, str]
"""What was planted, and the name it was given."""


def interval(hits: int, count: int) -> str:
    """A share with Wilson's interval."""
    if not count:
        return "none"
    p, z = hits / count, 1.96
    centre, half = (p + z * z / (2 * count)), z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    low, high = (max(0.0, end / (1 + z * z / count)) for end in (centre - half, centre + half))
    return f"{hits} of {count}, {p:.1%} [{low:.1%}, {high:.1%}]"


def summary(title: str, found: list[Found]) -> list[str]:
    """Shares, and a row of names for each fault."""
    faults = [(f, n) for f, n in found if f != "healthy"]
    well = [n for f, n in found if f == "healthy"]
    right = sum(n in ACCEPTED[f] for f, n in faults)
    lines = [
        f"### {title}", "", f"Faults named right: {interval(right, len(faults))}. Healthy trainings given another "
        f"name: {interval(sum(n != 'healthy' for n in well), len(well))}.", "", "| planted | named |", "|---|---|",
    ]  # fmt: skip
    for fault in ACCEPTED:
        counts = Counter(n for f, n in found if f == fault)
        if counts:
            told = ", ".join(f"{n}{'' if n in ACCEPTED[fault] else ' (wrong)'} {c}" for n, c in counts.most_common())
            lines.append(f"| {fault} | {told} |")
    return [*lines, ""]


def repairs(found: list[tuple[Course, bool]]) -> list[str]:
    """Shares repaired by the strict and by AUTOTRAINER's measure, and what was left of each fault."""
    detected = [c for c, _ in found if c.detected]
    lines = [
        "### Repaired", "", f"Strictly: {interval(sum(r for _, r in found), len(found))}. No longer detected, of those "
        f"named right at first: {interval(sum(c.gone for c in detected), len(detected))}.", "",
        "| planted | repaired | rounds | left as |", "|---|---|---|---|",
    ]  # fmt: skip
    for fault in ACCEPTED:
        these = [(c, r) for c, r in found if c.planted.fault == fault]
        if these:
            left = Counter(c.names[-1] for c, r in these if not r)
            rounds = sum(len(c.names) - 1 for c, _ in these) / len(these)
            told = ", ".join(f"{n} {k}" for n, k in left.most_common()) or "-"
            lines.append(f"| {fault} | {sum(r for _, r in these)} of {len(these)} | {rounds:.1f} | {told} |")
    return [*lines, ""]


def part(name: str, one: Planted) -> str:
    """Which part of the suite a planted training belongs to."""
    if name in SCORED:
        return PARTS[3]
    return PARTS[2] if name in SEEN else PARTS[1] if held_out(one) else PARTS[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", help="of the studies whose data is not scikit-learn's")
    parser.add_argument("--sets", nargs="+", default=[*DEVELOPED, *SEEN, *SCORED])
    parser.add_argument("--repair", action="store_true", help="the remedies' rounds as well")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found: dict[str, list[Found]] = {title: [] for title in PARTS}
    repaired: list[tuple[Course, bool]] = []
    for name in given.sets:
        bench = Bench(name, given.data_dir)
        results = trained(bench, [p for p in planted(name) if p.fault != "healthy" or bench.level])
        for one, _, diagnosis in results:
            found[part(name, one)].append((one.fault, diagnosis.name))
        print("\n".join(summary(name, [(one.fault, d.name) for one, _, d in results])), flush=True)
        if given.repair:
            done = [(c, c.repaired(bench)) for c in courses(bench, [r for r in results if r[0].fault not in UNTOUCHED])]
            repaired += done
            print("\n".join([*repairs(done), *(told(c) for c, r in done if not r), ""]), flush=True)
    lines = [line for title in PARTS if found[title] for line in summary(title, found[title])]
    lines += repairs(repaired) if repaired else []
    text = "\n".join(lines)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")
    return 0


def told(course: Course) -> str:
    """A course that repaired nothing, in a line."""
    changes = ", ".join(f"{c.name} {c.old} -> {c.new}" for c in course.tried)
    return f"- {course.planted.fault} {course.planted.strength}: {' -> '.join(course.names)} ({changes or 'no change'})"


if __name__ == "__main__":
    sys.exit(main())
