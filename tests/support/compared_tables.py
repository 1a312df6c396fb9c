"""The tables of compared algorithms in `docs/results.md`, made of the stored trainings.

`python tests/support/compared_tables.py` prints them.
"""

import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from measured import Line, reached, read, scores, versus

from omad_core.results.comparison import compare, estimate, holm, probability_of_improvement
from search.comparison.sentences import share

ALGORITHMS = ("omad", "gaussian", "hasac", "madpmd")
TASKS = ("hopper", "simple_spread_n3")
OTHER_TASKS = ("walker2d_2x3", "simple_spread_n4", "halfcheetah_6x1")
"""On which the defaults of `laptop` were held against others, and nothing else is reported."""
FIRST = "omad"
DEFAULTS = 0
"""The trial that has them."""
Candidates = dict[str, dict[int, list[Line]]]


def confirmations(task: str) -> Candidates:
    """Held-out trainings of a task in the order of their seeds, by algorithm and trial."""
    found: Candidates = defaultdict(lambda: defaultdict(list))
    for line in sorted(read("compare.jsonl"), key=lambda line: line["parameters"].get("seed", 0)):
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
            "" if name == FIRST else share(probability_of_improvement(scores(lines), scores(trained[FIRST]))),
            reached(lines, level),
        ]
        yield f"| {' | '.join(cells)} |"


def costs() -> str:
    """Processor seconds of a training that went to its end, lowest to highest, of each algorithm."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in read("compare.jsonl"):
        if line["outcome"] == "complete":
            found[line["configuration"]["algorithm"]].append(line["seconds"])
    return ", ".join(f"{name} {min(found[name]):.0f} to {max(found[name]):.0f}" for name in ALGORITHMS)


def controlled(task: str) -> Iterator[str]:
    """A row a setting of a controlled experiment: scores by seed, and the difference to the first setting."""
    found = experiment(task)
    first = next(iter(found))
    baseline = {line["seed"]: line["score"] for line in found[first]}
    for name, lines in found.items():
        values, same = scores(lines), [baseline[line["seed"]] for line in lines]
        difference = "" if name == first else versus(compare(values, same), 0.0)[0]
        listed = ", ".join(f"{value:,.0f}" for value in values)
        yield f"| {name} | {listed} | {estimate(values).point:,.1f} | {difference} |"


def between(task: str, name: str, other: str) -> str:
    """The difference between two settings of a controlled experiment, seed by seed: `other` minus `name`."""
    found = experiment(task)
    ours = {line["seed"]: line["score"] for line in found[name]}
    return versus(compare(scores(found[other]), [ours[line["seed"]] for line in found[other]]), 0.0)[0]


def progress(task: str) -> Iterator[str]:
    """A row a setting of a controlled experiment: mean return over seeds at each evaluation."""
    for name, lines in experiment(task).items():
        means = [statistics.mean(values) for values in zip(*map(returns, lines), strict=True)]
        yield f"| {name} | {' | '.join(f'{mean:,.1f}' for mean in means)} |"


def experiment(task: str) -> dict[str, list[Line]]:
    """Trainings of a controlled experiment, by setting."""
    found: dict[str, list[Line]] = defaultdict(list)
    for line in read("controlled.jsonl"):
        if line["task"] == task:
            found[line["name"]].append(line)
    return found


def returns(line: Line) -> list[float]:
    return [mean for _, mean in line["curve"]]


if __name__ == "__main__":
    for each in TASKS:
        print(each, *rows(each), "controlled", *controlled(each), *progress(each), sep="\n")
    for each in ("halfcheetah_2x3", *OTHER_TASKS):
        print(each, *controlled(each), sep="\n")
    print(costs())
