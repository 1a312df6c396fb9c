"""What `docs/results.md` says of compared algorithms follows from the stored trainings.

As a program it prints the tables: `python tests/studies/test_compared_measured.py`.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from omad_core.results.comparison import PairedDifference, compare, estimate, holm
from omad_core.results.speed import median_steps, steps_to_level
from search.comparison.sentences import probability
from search.view.confirmation import signed

DOCS = Path(__file__).parents[2] / "docs"
ALGORITHMS = ("omad", "gaussian", "hasac", "madpmd")
TASKS = ("hopper", "simple_spread_n3")
WINDOW = 3
"""Evaluations whose mean is a training's score."""
FIRST = "omad"
DEFAULTS = 0
"""The trial that has them."""
Line = Mapping[str, Any]
Candidates = dict[str, dict[int, list[Line]]]


def confirmations(task: str) -> Candidates:
    """Held-out trainings of a task in the order of their seeds, by algorithm and trial."""
    found: Candidates = defaultdict(lambda: defaultdict(list))
    lines = map(json.loads, (DOCS / "compare.jsonl").read_text().splitlines())
    for line in sorted(lines, key=lambda line: line["parameters"].get("seed", 0)):
        if (line["task"], line["kind"]) == (task, "confirmation"):
            algorithm = line["configuration"]["algorithm"]
            found[algorithm][line["parameters"]["candidate"]].append(line)
    return found


def rows(task: str) -> Iterator[str]:
    """A row a setting: first what each search found best, then the defaults where those are others."""
    found = confirmations(task)
    tuned = {name: found[name][max(found[name])] for name in ALGORITHMS}
    level = min(estimate(scores(lines)).point for lines in tuned.values())
    yield from settings("tuned", tuned, level, ALGORITHMS)
    untuned = {name: found[name][DEFAULTS] for name in ALGORITHMS}
    yield from settings("untuned", untuned, level, [name for name in found if max(found[name]) != DEFAULTS])


def settings(
    kind: str, trained: Mapping[str, Sequence[Line]], level: float, shown: Collection[str]
) -> Iterator[str]:
    """Rows of one kind; `shown`: the algorithms that get one."""
    differences = {
        number: compare(scores(lines), scores(trained[FIRST]))
        for number, (name, lines) in enumerate(trained.items())
        if name != FIRST
    }
    corrected = holm({n: known.p_value for n, known in differences.items() if known.p_value is not None})
    for number, (name, lines) in enumerate(trained.items()):
        if name not in shown:
            continue
        which = "defaults" if lines[0]["parameters"]["candidate"] == DEFAULTS else "search's best"
        known = estimate(scores(lines))
        cells = [
            f"{name} {kind}" + (f" ({which})" if kind == "tuned" else ""),
            ", ".join(f"{score:,.0f}" for score in scores(lines)),
            f"{known.point:,.1f}",
            f"{known.low:,.1f} to {known.high:,.1f}",
            *versus(differences.get(number), corrected.get(number)),
            reached(lines, level),
        ]
        yield f"| {' | '.join(cells)} |"


def scores(lines: Sequence[Line]) -> list[float]:
    return [line["score"] for line in lines]


def versus(known: PairedDifference | None, corrected: float | None) -> tuple[str, str]:
    if known is None or known.difference.low is None or known.difference.high is None or corrected is None:
        return "", ""
    difference = known.difference
    scale = max(abs(difference.low), abs(difference.high))
    ends = ", ".join(signed(end, scale) for end in (difference.low, difference.high))
    return f"{signed(difference.point, scale)} [{ends}]", probability(corrected)


def reached(lines: Sequence[Line], level: float) -> str:
    """Median of the steps to a level, and how many seeds reach it where not all do."""
    steps = [
        steps_to_level(
            [each["step"] for each in line["evaluations"]],
            [each["mean"] for each in line["evaluations"]],
            level,
            WINDOW,
        )
        for line in lines
    ]
    median, reach = median_steps(steps), sum(each is not None for each in steps)
    text = "never by half of them" if median is None else f"{median:,.0f}"
    return text if reach == len(steps) else f"{text} ({reach} of {len(steps)})"


def controlled() -> Iterator[str]:
    """A row a setting of the controlled experiment: scores by seed, and the difference to the first setting."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in map(json.loads, (DOCS / "controlled.jsonl").read_text().splitlines()):
        found[line["name"]].append(line["score"])
    baseline = next(iter(found.values()))
    for name, values in found.items():
        known = estimate(values)
        difference = "" if values is baseline else versus(compare(values, baseline), 0.0)[0]
        listed = ", ".join(f"{value:,.0f}" for value in values)
        yield f"| {name} | {listed} | {known.point:,.1f} | {difference} |"


@pytest.mark.parametrize("task", TASKS)
def test_the_page_has_what_the_trainings_say(task: str) -> None:
    page = (DOCS / "results.md").read_text()
    for row in rows(task):
        assert row in page


def test_the_page_has_what_the_controlled_experiment_says() -> None:
    page = (DOCS / "results.md").read_text()
    for row in controlled():
        assert row in page


if __name__ == "__main__":
    for each in TASKS:
        print(each, *rows(each), sep="\n")
    print("controlled", *controlled(), sep="\n")
