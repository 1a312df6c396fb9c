"""Tables: a comparison as rows of text, as JSON, and as a page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from omad_core.results.comparison import Estimate
from search.comparison.sentences import not_shown, probability, share, shown
from search.comparison.view import AlgorithmView, ComparisonView, SettingView
from search.view import confirmation
from search.view.confirmation import signed

FIGURE = "comparison.png"


def headings(comparison: ComparisonView) -> list[str]:
    """Titles of the columns behind the name."""
    first = comparison.algorithms[0].name
    level = "level" if comparison.level is None else _figure(comparison.level)
    return [
        "interquartile mean",
        "95 % over seeds",
        f"minus {first}",
        "p (Holm)",
        f"P(better than {first})",
        f"steps to {level}",
        "updates",
        "GPU s" if comparison.on_gpu else "CPU s",
    ]


def cells(comparison: ComparisonView, setting: SettingView) -> list[str]:
    """One setting's row, by `headings`."""
    known, paired = setting.candidate.estimate, setting.versus
    return [
        _figure(known.point) if known else "-",
        _interval(known),
        _difference(paired.difference) if paired else "",
        probability(setting.p_corrected) if setting.p_corrected is not None else "",
        share(setting.improvement) if setting.improvement is not None else "",
        _steps(comparison, setting),
        "-" if setting.updates is None else f"{setting.updates:,.0f}",
        "-" if setting.processor_seconds is None else f"{setting.processor_seconds:,.0f}",
    ]


def value(setting: SettingView, seed: int) -> str:
    """A training's value, marked where it diverged; what became of it where it has none."""
    number, note = setting.candidate.values.get(seed), setting.candidate.notes.get(seed, "")
    return note or "-" if number is None else _figure(number) + ("*" if note else "")


def markdown(comparison: ComparisonView, figure: str = FIGURE) -> str:
    """The whole page: sentences, figure, table, values by seed, searches, how each setting differs."""
    names = [algorithm.name for algorithm in comparison.algorithms]
    parts = [
        f"# {comparison.name}: {', '.join(names)} on {comparison.task}",
        shown(comparison),
        not_shown(comparison),
        f"![Values by held-out seed, and learning curves]({figure})" if figure else "",
        _table(
            ["", *headings(comparison)],
            [[setting.name, *cells(comparison, setting)] for setting in comparison.settings],
        ),
        _reading(comparison),
        "## Values by held-out seed",
        _table(
            ["", *(f"seed {seed}" for seed in comparison.seeds)],
            [
                [setting.name, *(value(setting, seed) for seed in comparison.seeds)]
                for setting in comparison.settings
            ],
        ),
        "## Searches",
        _table(
            [
                "",
                "trials",
                "completed",
                "best score in the search",
                "GPU s" if comparison.on_gpu else "CPU s",
            ],
            [_search(algorithm) for algorithm in comparison.algorithms],
        ),
        "## Settings",
        *(_settings(algorithm) for algorithm in comparison.algorithms),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def document(comparison: ComparisonView) -> dict[str, Any]:
    """The same numbers as plain data."""
    return {
        "comparison": comparison.name,
        "task": comparison.task,
        "trials": comparison.trials,
        "env_steps": comparison.env_steps,
        "held_out_seeds": comparison.seeds,
        "ended": comparison.ended,
        "sentence": shown(comparison),
        "not_shown": not_shown(comparison),
        "level": comparison.level,
        "cost_unit": "gpu seconds" if comparison.on_gpu else "processor seconds",
        "algorithms": [
            {
                "algorithm": algorithm.name,
                "study": algorithm.search.name,
                "ended": algorithm.ended,
                "trials": len(algorithm.search.trials),
                "trials_ended": sum(trial.ended for trial in algorithm.search.trials),
                "trials_complete": algorithm.search.count("complete"),
                "best_score_in_the_search": algorithm.search.best.score if algorithm.search.best else None,
                "search_cost": algorithm.search_seconds,
                "best_parameters": dict(algorithm.search.best.params) if algorithm.search.best else {},
                "tuned": _document(algorithm.tuned),
                "untuned": _document(algorithm.untuned),
                "against_its_defaults": algorithm.confirmation.sentence if algorithm.confirmation else None,
            }
            for algorithm in comparison.algorithms
        ],
    }


def _document(setting: SettingView | None) -> Mapping[str, Any] | None:
    if setting is None:
        return None
    paired, of = setting.versus, confirmation.candidate_document(setting.candidate)
    kept = ("trial", "values", "notes", "interquartile_mean", "interval")
    known = paired.difference if paired else None
    return {name: of[name] for name in kept} | {
        "difference_to_first": known.point if known else None,
        "difference_interval": confirmation.interval_ends(known),
        "seeds_won": paired.won if paired else None,
        "p_value": paired.p_value if paired else None,
        "p_value_corrected": setting.p_corrected,
        "shown_to_differ": setting.differs,
        "probability_of_improvement": setting.improvement,
        "steps_to_level": {str(seed): at for seed, at in (setting.reached or {}).items()},
        "median_steps_to_level": setting.steps,
        "updates": setting.updates,
        "cost": setting.processor_seconds,
    }


def _reading(comparison: ComparisonView) -> str:
    first = comparison.algorithms[0].name
    which = f"{_figure(comparison.level)}" if comparison.level is not None else "a level"
    unit = "seconds of the GPU" if comparison.on_gpu else "processor seconds"
    return (
        f"A value is the mean return of a training's last {comparison.window} evaluations. "
        f"Differences to {first} are taken seed by seed, tuned settings with the tuned one and "
        "defaults with the defaults; intervals are of each by itself, "
        "p-values corrected for the number of algorithms. P(better) is the share of all pairs of trainings in "
        f"which it wins. Steps to {which}: median over seeds of when the mean of {comparison.window} evaluations "
        f"reached it. Costs are {unit} of one training with its evaluations. "
        "A star marks a training that diverged: its last finite value counts."
    )


def _search(algorithm: AlgorithmView) -> list[str]:
    best, seconds = algorithm.search.best, algorithm.search_seconds
    return [
        algorithm.name,
        str(len(algorithm.search.trials)),
        str(algorithm.search.count("complete")),
        _figure(best.score) if best and best.score is not None else "-",
        "-" if seconds is None else f"{seconds:,.0f}",
    ]


def _settings(algorithm: AlgorithmView) -> str:
    """The tuned parameters beside the untuned ones."""
    best, default = algorithm.search.best, algorithm.search.default
    if best is None:
        return ""
    untuned = default.params if default else {}
    paths = [*best.params, *(path for path in untuned if path not in best.params)]
    rows = [[f"`{path}`", *(parameter(side.get(path)) for side in (best.params, untuned))] for path in paths]
    return f"### {algorithm.name}\n\n" + _table(["", f"best, trial {best.number}", "defaults"], rows)


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


def _steps(comparison: ComparisonView, setting: SettingView) -> str:
    """The median; how many seeds reach the level where not all do."""
    if not setting.reached:
        return "-"
    reach = sum(at is not None for at in setting.reached.values())
    median = f"> {comparison.env_steps:,}" if setting.steps is None else f"{setting.steps:,.0f}"
    return median if reach == len(setting.reached) else f"{median} ({reach} of {len(setting.reached)})"
