"""Answer: the first section of a page: what was found, and how sure that is."""

from collections.abc import Sequence

from omad_core.results.statistics import Summary
from search.reports.page.content import PageTable, Plot, Section
from search.reports.page.figures import confirmation_plots
from search.reports.page.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY
from search.reports.page.view import StudyPage
from search.view.confirmation import CandidateView, ConfirmationView, comparison_sentence
from search.view.views import TrialView
from search.view.wording import count, score, value

MOST_SEEDS = 20
OTHERS = (GREEN, PURPLE, SKY)
"""Colours of candidates beside the best and the defaults."""


def answer(page: StudyPage) -> Section:
    """What was found, and how sure that is."""
    study, confirmation = page.study, page.report.confirmation
    best = study.best
    if best is None:
        none = "completed" if study.ended else "has completed yet"
        return Section("answer", "What was found", f"No trial {none}, so there is no best one.")
    scored = study.count("complete")
    flatters = "As the best of noisy values, that score flatters."
    which = f"trial {best.number}: {score(best.score)}."
    told = [f"The best of {count(scored, 'complete trial')} in the search is {which} {flatters}"]
    if scored == 1:
        told = [f"The only complete trial of the search is {which}"]
    if confirmation is None:
        lead = f"Not confirmed: trial {best.number} has the best score in the search, {score(best.score)}."
        again = f"`omad-search confirm {study.name}` trains it and the defaults again on held-out seeds."
        told = [f"{flatters} {again}" if scored > 1 else again]
    else:
        lead = f"{confirmation.sentence[:1].upper()}{confirmation.sentence[1:]}."
        told += other_sentences(confirmation)
    tables = [held_out_table(confirmation)] if confirmation and confirmation.candidates else []
    if any((page.report.best, page.report.default, page.report.random)):
        tables.append(_returns(page, best))
    tables.append(parameter_table(best, study.default))
    rows = _rows(confirmation.candidates) if confirmation else []
    plots = [Plot(POINTS, confirmation_plots.draw_points(rows), POINTS_NOTE)] if rows else []
    return Section("answer", "What was found", lead, told, plots, tables)


EPISODES_NOTE = (
    "That interval is over episodes of one policy, not over seeds: another training may end elsewhere."
)
POINTS = "Trained again on seeds that no search has seen: a point a seed"
POINTS_NOTE = "Bar: interquartile mean; thick line: its 95 % interval over seeds."


def _rows(candidates: Sequence[CandidateView]) -> list[confirmation_plots.PointRow]:
    others = iter(OTHERS * len(candidates))
    shown = [
        candidate for candidate in candidates if any(value is not None for value in candidate.values.values())
    ]
    return [
        confirmation_plots.PointRow(
            each.name, each, BLUE if each.best else ORANGE if each.default else next(others)
        )
        for each in shown
    ]


def other_sentences(confirmation: ConfirmationView) -> list[str]:
    """Of each candidate beside the best: its difference, and the p-value corrected for their number."""
    lines = []
    for candidate in confirmation.candidates:
        if not candidate.best and candidate.difference is not None:
            p = "" if candidate.p_corrected is None else f" (p {candidate.p_corrected:.2g} after Holm)"
            lines.append(f"{candidate.name}: {comparison_sentence(candidate.difference)}{p}.")
    return lines


def held_out_table(confirmation: ConfirmationView) -> PageTable:
    """A column a candidate: its value a seed, interquartile mean, interval."""
    seeds = sorted({seed for candidate in confirmation.candidates for seed in candidate.values})
    rows = [
        (f"held-out {seed}", *(_value(candidate, seed) for candidate in confirmation.candidates))
        for seed in seeds[:MOST_SEEDS]
    ]
    if len(seeds) > MOST_SEEDS:
        rows.append(
            (f"{len(seeds) - MOST_SEEDS} more seeds: `best --json`", *("" for _ in confirmation.candidates))
        )
    known = [candidate.estimate for candidate in confirmation.candidates]
    rows.append(("interquartile mean", *(score(each.point) if each else "-" for each in known)))
    intervals = [
        f"{score(each.low)} to {score(each.high)}" if each and each.low is not None else "-" for each in known
    ]
    rows.append(("95 % interval over seeds", *intervals))
    return PageTable(
        "Return on held-out seeds", ("", *(candidate.name for candidate in confirmation.candidates)), rows
    )


def _value(candidate: CandidateView, seed: int) -> str:
    note, number = candidate.notes.get(seed, ""), candidate.values.get(seed)
    return note if number is None and note else score(number) + ("*" if note else "")


def _returns(page: StudyPage, best: TrialView) -> PageTable:
    default = page.study.default
    measured: list[tuple[str, Summary | None, float | None]] = [
        (f"best, trial {best.number}", page.report.best, best.score)
    ]
    if default is None or default.number != best.number:
        name = f"defaults, trial {default.number}" if default else "defaults"
        measured.append((name, page.report.default, default.score if default else None))
    shown = [*measured, ("random play", page.report.random, None)]
    rows = [
        (
            name,
            score(summary.mean) if summary else "-",
            f"{score(summary.low)} to {score(summary.high)}" if summary else "-",
            "-" if number is None else score(number),
        )
        for name, summary, number in shown
        if summary is not None or number is not None
    ]
    episodes = next((each.count for _, each, _ in shown if each), 0)
    title = f"The search's own policies on {count(episodes, 'fresh episode')}"
    return PageTable(title, ("", "return", "95 % over episodes", "score in the search"), rows, EPISODES_NOTE)


def parameter_table(best: TrialView, default: TrialView | None) -> PageTable:
    """The best parameters beside the untuned ones, which they may be themselves."""
    if default is not None and default.number == best.number:
        best_rows = [(f"`{path}`", value(each)) for path, each in best.params.items()]
        return PageTable("Parameters", ("", f"best, trial {best.number}: the defaults"), best_rows)
    untuned = default.params if default else {}
    paths = [*best.params, *(path for path in untuned if path not in best.params)]
    rows = [
        (f"`{path}`", *(value(side[path]) if path in side else "" for side in (best.params, untuned)))
        for path in paths
    ]
    return PageTable("Parameters", ("", f"best, trial {best.number}", "defaults"), rows)
