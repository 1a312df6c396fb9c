"""Tables: a comparison as rows of text, as JSON, and as a page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from omad_core.results.comparison import Estimate
from search.comparison.sentences import not_shown, probability, shown
from search.comparison.view import AlgorithmView, ComparisonView, SettingView
from search.view import confirmation
from search.view.confirmation import signed

FIGURE = "comparison.png"


def headings(seen: ComparisonView) -> list[str]:
    """Titles of the columns behind the name."""
    first = seen.algorithms[0].name
    level = "level" if seen.level is None else _figure(seen.level)
    return [
        "interquartile mean",
        "95 % over seeds",
        f"minus {first}",
        "p (Holm)",
        f"P(better than {first})",
        f"steps to {level}",
        "updates",
        "GPU s" if seen.on_gpu else "CPU s",
    ]


def cells(seen: ComparisonView, each: SettingView) -> list[str]:
    """One setting's row, by `headings`."""
    known, found = each.candidate.estimate, each.versus
    return [
        _figure(known.point) if known else "-",
        _interval(known),
        _difference(found.difference) if found else "",
        probability(each.p_corrected) if each.p_corrected is not None else "",
        probability(each.improvement) if each.improvement is not None else "",
        _steps(seen, each),
        "-" if each.updates is None else f"{each.updates:,.0f}",
        "-" if each.processor_seconds is None else f"{each.processor_seconds:,.0f}",
    ]


def value(each: SettingView, seed: int) -> str:
    """A training's value, marked where it diverged; what became of it where it has none."""
    found, note = each.candidate.values.get(seed), each.candidate.notes.get(seed, "")
    return note or "-" if found is None else _figure(found) + ("*" if note else "")


def markdown(seen: ComparisonView, figure: str = FIGURE) -> str:
    """The whole page: sentences, figure, table, values by seed, searches, how each setting differs."""
    names = [each.name for each in seen.algorithms]
    parts = [
        f"# {seen.name}: {', '.join(names)} on {seen.task}",
        shown(seen),
        not_shown(seen),
        f"![Values by held-out seed, and learning curves]({figure})" if figure else "",
        _table(["", *headings(seen)], [[each.name, *cells(seen, each)] for each in seen.settings]),
        _reading(seen),
        "## Values by held-out seed",
        _table(
            ["", *(f"seed {seed}" for seed in seen.seeds)],
            [[each.name, *(value(each, seed) for seed in seen.seeds)] for each in seen.settings],
        ),
        "## Searches",
        _table(
            ["", "trials", "completed", "best score in the search", "GPU s" if seen.on_gpu else "CPU s"],
            [_search(each) for each in seen.algorithms],
        ),
        "## Settings",
        *(_settings(each) for each in seen.algorithms),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def document(seen: ComparisonView) -> dict[str, Any]:
    """The same numbers as plain data."""
    return {
        "comparison": seen.name,
        "task": seen.task,
        "trials": seen.trials,
        "env_steps": seen.env_steps,
        "held_out_seeds": seen.seeds,
        "ended": seen.ended,
        "sentence": shown(seen),
        "not_shown": not_shown(seen),
        "level": seen.level,
        "cost_unit": "gpu seconds" if seen.on_gpu else "processor seconds",
        "algorithms": [
            {
                "algorithm": each.name,
                "study": each.search.name,
                "ended": each.ended,
                "trials": len(each.search.trials),
                "trials_ended": sum(trial.ended for trial in each.search.trials),
                "trials_complete": each.search.count("complete"),
                "best_score_in_the_search": each.search.best.score if each.search.best else None,
                "search_cost": each.search_seconds,
                "best_parameters": dict(each.search.best.params) if each.search.best else {},
                "tuned": _document(each.tuned),
                "untuned": _document(each.untuned),
                "against_its_defaults": each.confirmation.sentence if each.confirmation else None,
            }
            for each in seen.algorithms
        ],
    }


def _document(each: SettingView | None) -> Mapping[str, Any] | None:
    if each is None:
        return None
    found, of = each.versus, confirmation.candidate_document(each.candidate)
    kept = ("trial", "values", "notes", "interquartile_mean", "interval")
    known = found.difference if found else None
    return {name: of[name] for name in kept} | {
        "difference_to_first": known.point if known else None,
        "difference_interval": confirmation.interval_ends(known),
        "seeds_won": found.won if found else None,
        "p_value": found.p_value if found else None,
        "p_value_corrected": each.p_corrected,
        "shown_to_differ": each.differs,
        "probability_of_improvement": each.improvement,
        "steps_to_level": {str(seed): at for seed, at in (each.reached or {}).items()},
        "median_steps_to_level": each.steps,
        "updates": each.updates,
        "cost": each.processor_seconds,
    }


def _reading(seen: ComparisonView) -> str:
    first = seen.algorithms[0].name
    which = f"{_figure(seen.level)}" if seen.level is not None else "a level"
    unit = "seconds of the GPU" if seen.on_gpu else "processor seconds"
    return (
        f"A value is the mean return of a training's last {seen.window} evaluations. Differences to {first} are taken "
        "seed by seed, tuned settings with the tuned one and defaults with the defaults; intervals are of each by "
        "itself, p-values corrected for the number of algorithms. P(better) is the share of all pairs of trainings in "
        f"which it wins. Steps to {which}: median over seeds of when the mean of {seen.window} evaluations reached it. "
        f"Costs are {unit} of one training with its evaluations. A star marks a training that diverged: its last "
        "finite value counts."
    )


def _search(each: AlgorithmView) -> list[str]:
    best, seconds = each.search.best, each.search_seconds
    return [
        each.name,
        str(len(each.search.trials)),
        str(each.search.count("complete")),
        _figure(best.score) if best and best.score is not None else "-",
        "-" if seconds is None else f"{seconds:,.0f}",
    ]


def _settings(each: AlgorithmView) -> str:
    """The tuned parameters beside the untuned ones."""
    best, default = each.search.best, each.search.default
    if best is None:
        return ""
    untuned = default.params if default else {}
    paths = [*best.params, *(path for path in untuned if path not in best.params)]
    rows = [[f"`{path}`", *(parameter(side.get(path)) for side in (best.params, untuned))] for path in paths]
    return f"### {each.name}\n\n" + _table(["", f"best, trial {best.number}", "defaults"], rows)


def parameter(value: Any) -> str:
    """A parameter's value with three digits; nothing where it does not apply."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(value: float) -> str:
    return f"{value:,.1f}"


def _interval(known: Estimate | None) -> str:
    return "-" if known is None or known.low is None else f"{known.low:,.1f} to {known.high:,.1f}"


def _difference(known: Estimate) -> str:
    """A point and its interval, such as `+120 [+40, +200]`."""
    if known.low is None or known.high is None:
        return signed(known.point, abs(known.point))
    scale = max(abs(known.low), abs(known.high))
    return f"{signed(known.point, scale)} [{signed(known.low, scale)}, {signed(known.high, scale)}]"


def _steps(seen: ComparisonView, each: SettingView) -> str:
    """The median; how many seeds reach the level where not all do."""
    if not each.reached:
        return "-"
    reach = sum(at is not None for at in each.reached.values())
    median = f"> {seen.env_steps:,}" if each.steps is None else f"{each.steps:,.0f}"
    return median if reach == len(each.reached) else f"{median} ({reach} of {len(each.reached)})"
