"""The tables of the longer trainings of HalfCheetah in `docs/results.md`, made of the stored trainings.

`python tests/support/halfcheetah_tables.py` prints them.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from measured import Line, median_cell, read, scores, steps_of, versus

from cli.show.sparkline import scale, sparkline
from omad_core.results.comparison import compare, estimate

ALGORITHMS = ("omad", "gaussian")
LEVELS = (1_000, 2_000, 3_000)
EVERY = 20_000
"""Steps between the rows of the table of curves."""
Trainings = dict[str, list[Line]]


def trainings() -> Trainings:
    """Held-out trainings in the order of their seeds, by algorithm."""
    found: Trainings = defaultdict(list)
    for line in sorted(read("halfcheetah.jsonl"), key=lambda line: line["parameters"]["seed"]):
        found[line["configuration"]["algorithm"]].append(line)
    return {name: found[name] for name in ALGORITHMS}


def final(found: Trainings) -> Iterator[str]:
    """A row an algorithm: scores by seed, and the difference to the first."""
    first = next(iter(found.values()))
    for name, lines in found.items():
        known = estimate(scores(lines))
        difference = None if lines is first else compare(scores(lines), scores(first))
        seconds = [line["seconds"] for line in lines]
        cells = [
            name,
            ", ".join(f"{score:,.0f}" for score in scores(lines)),
            f"{known.point:,.0f}",
            f"{known.low:,.0f} to {known.high:,.0f}",
            *versus(difference, difference.p_value if difference else None),
            f"{statistics.mean(seconds):,.0f}",
        ]
        yield f"| {' | '.join(cells)} |"


def levels(found: Trainings) -> Iterator[str]:
    """A row a level: median steps of each algorithm until it is reached, then processor seconds."""
    for level in LEVELS:
        steps = [median_cell([steps_of(line, level) for line in lines]) for lines in found.values()]
        seconds = [median_cell([seconds_to(line, level) for line in lines]) for lines in found.values()]
        yield f"| {level:,} | {' | '.join((*steps, *seconds))} |"


def seconds_to(line: Line, level: float) -> int | None:
    step = steps_of(line, level)
    return next((round(each["seconds"]) for each in line["evaluations"] if each["step"] == step), None)


def curves(found: Trainings) -> Iterator[str]:
    """A row an evaluation: mean of the seeds, lowest to highest, and the difference to the first."""
    first = next(iter(found.values()))
    for step in range(EVERY, first[0]["evaluations"][-1]["step"] + 1, EVERY):
        cells = [f"{step:,}"]
        for lines in found.values():
            values = [mean_at(line, step) for line in lines]
            cells.append(f"{statistics.mean(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})")
            if lines is not first:
                cells.append(versus(compare(values, [mean_at(line, step) for line in first]), 0.0)[0])
        yield f"| {' | '.join(cells)} |"


def mean_at(line: Line, step: int) -> float:
    return next(float(each["mean"]) for each in line["evaluations"] if each["step"] == step)


def pictures(found: Trainings) -> Iterator[str]:
    """A line a training: its evaluations, all on one scale."""
    low, high = scale(means(line) for lines in found.values() for line in lines)
    for name, lines in found.items():
        for line in lines:
            shown = means(line)
            yield f"{name:<9}{line['parameters']['seed']}  {sparkline(shown, len(shown), low, high)}"


def means(line: Line) -> Sequence[float]:
    return [each["mean"] for each in line["evaluations"]]


PARTS = (final, levels, curves, pictures)


if __name__ == "__main__":
    for part in PARTS:
        print(part.__name__, *part(trainings()), sep="\n")
