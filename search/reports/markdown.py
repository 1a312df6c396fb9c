"""The final report as Markdown, for the study's run: what was found, beside the defaults and random play."""

from collections.abc import Sequence

from omad_core.results.statistics import Summary
from search.recording.model_card import figure
from search.view.confirmation import CandidateView, ConfirmationView
from search.view.report_view import ReportView
from search.view.views import ENDED, TrialView
from search.view.wording import count


def markdown(report: ReportView) -> str:
    """The whole report."""
    study = report.study
    counts = ", ".join(f"{study.count(state)} {state}" for state in ENDED if study.count(state))
    parts = [
        f"# {study.name}",
        f"{count(len(study.trials), 'trial')} of task `{study.task}`: {counts or 'none ended'}.",
    ]
    if study.best is None:
        return "\n\n".join([*parts, "No trial completed, so there is no best one."]) + "\n"
    if report.confirmation is not None:
        parts.append(_confirmed(report.confirmation))
    parts += [_returns(report, study.best), _params(study.best, study.default), _trials(report)]
    return "\n\n".join(parts) + "\n"


def _returns(report: ReportView, best: TrialView) -> str:
    default = report.study.default
    rows = [
        (f"best, trial {best.number}", report.best, best.score),
        (
            f"defaults, trial {default.number}" if default else "defaults",
            report.default,
            default.score if default else None,
        ),
        ("random play", report.random, None),
    ]
    lines = [_row(name, returns, score) for name, returns, score in rows if returns or score is not None]
    head = "| | mean return | 95 % interval over episodes | episodes | score in the search |\n|---|---:|---:|---:|---:|"
    scored = sum(trial.state == "complete" for trial in report.study.trials)
    return "\n".join(
        ["## Return of the policies of the search on fresh episodes", "", head, *lines, "", chosen(scored)]
    )


def chosen(scored: int) -> str:
    """What a score in the search is worth."""
    return (
        "The interval is over episodes of one policy, not over seeds; the best score in the search is the best of "
        f"{scored} noisy values, and flatters."
    )


def _confirmed(confirmation: ConfirmationView) -> str:
    """A value a seed, interquartile mean and interval of each candidate, then the sentence."""
    seeds = sorted({seed for candidate in confirmation.candidates for seed in candidate.values})
    head = [*(f"held-out {seed}" for seed in seeds), "interquartile mean", "95 % interval over seeds"]
    lines = [
        "## Confirmed on held-out seeds",
        "",
        f"{confirmation.sentence[:1].upper()}{confirmation.sentence[1:]}.",
        "",
        f"| | {' | '.join(head)} |",
        f"|---|{'---:|' * len(head)}",
    ]
    return "\n".join([*lines, *(_candidate(candidate, seeds) for candidate in confirmation.candidates)])


def _candidate(candidate: CandidateView, seeds: Sequence[int]) -> str:
    known = candidate.estimate
    values = [figure_or_dash(candidate.values.get(seed)) for seed in seeds]
    interval = "" if known is None or known.low is None else f"{known.low:,.1f} to {known.high:,.1f}"
    point = figure_or_dash(known.point if known else None)
    return f"| {candidate.name} | {' | '.join([*values, point, interval])} |"


def figure_or_dash(value: float | None) -> str:
    """A return with one decimal; a dash where there is none."""
    return "-" if value is None else f"{value:,.1f}"


def _row(name: str, returns: Summary | None, score: float | None) -> str:
    figures = ("-", "", "")
    if returns is not None:
        figures = (f"{returns.mean:.1f}", f"{returns.low:.1f} to {returns.high:.1f}", str(returns.count))
    return f"| {name} | {' | '.join(figures)} | {'' if score is None else f'{score:.1f}'} |"


def _params(best: TrialView, default: TrialView | None) -> str:
    lines = [
        f"| `{path}` | {figure(value)} | {figure(default.params.get(path, '')) if default else ''} |"
        for path, value in best.params.items()
    ]
    return "\n".join(["## Parameters", "", "| parameter | best | defaults |", "|---|---|---|", *lines])


def _trials(report: ReportView) -> str:
    ranked = sorted(report.study.trials, key=lambda t: (t.state != "complete", -(t.score or 0.0), t.number))
    lines = [
        f"| {t.number} | {t.state} | {'' if t.score is None else f'{t.score:.1f}'} | {t.step:,} | {t.note} |"
        for t in ranked
    ]
    return "\n".join(
        ["## Trials", "", "| trial | state | score | steps | |", "|---:|---|---:|---:|---|", *lines]
    )
