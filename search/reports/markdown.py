"""The final report as Markdown, for the study's run: what was found, beside the defaults and random play."""

from search.records.model_card import figure
from search.slots.view import ENDED, ReportView, Returns, TrialView


def markdown(seen: ReportView) -> str:
    """The whole report."""
    study = seen.study
    counts = ", ".join(f"{study.count(state)} {state}" for state in ENDED if study.count(state))
    parts = [
        f"# {study.name}",
        f"{len(study.trials)} trials of task `{study.task}`: {counts or 'none ended'}.",
    ]
    if study.best is None:
        return "\n\n".join([*parts, "No trial completed, so there is no best one."]) + "\n"
    parts += [_returns(seen, study.best), _params(study.best, study.default), _trials(seen)]
    return "\n\n".join(parts) + "\n"


def _returns(seen: ReportView, best: TrialView) -> str:
    default = seen.study.default
    rows = [
        (f"best, trial {best.number}", seen.best, best.score),
        (
            f"defaults, trial {default.number}" if default else "defaults",
            seen.default,
            default.score if default else None,
        ),
        ("random play", seen.random, None),
    ]
    lines = [_row(name, returns, score) for name, returns, score in rows if returns or score is not None]
    head = "| | mean return | 95 % interval | episodes | score in the search |\n|---|---:|---:|---:|---:|"
    return "\n".join(["## Return on fresh episodes", "", head, *lines])


def _row(name: str, returns: Returns | None, score: float | None) -> str:
    found = ("-", "", "")
    if returns is not None:
        found = (f"{returns.mean:.1f}", f"{returns.low:.1f} to {returns.high:.1f}", str(returns.episodes))
    return f"| {name} | {' | '.join(found)} | {'' if score is None else f'{score:.1f}'} |"


def _params(best: TrialView, default: TrialView | None) -> str:
    lines = [
        f"| `{path}` | {figure(value)} | {figure(default.params.get(path, '')) if default else ''} |"
        for path, value in best.params.items()
    ]
    return "\n".join(["## Parameters", "", "| parameter | best | defaults |", "|---|---|---|", *lines])


def _trials(seen: ReportView) -> str:
    ranked = sorted(seen.study.trials, key=lambda t: (t.state != "complete", -(t.score or 0.0), t.number))
    lines = [
        f"| {t.number} | {t.state} | {'' if t.score is None else f'{t.score:.1f}'} | {t.step:,} | {t.note} |"
        for t in ranked
    ]
    return "\n".join(
        ["## Trials", "", "| trial | state | score | steps | |", "|---:|---|---:|---:|---|", *lines]
    )
