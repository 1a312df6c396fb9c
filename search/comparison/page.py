"""The page of a comparison: of the same make as a study's, with a colour an algorithm."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from search.comparison import sentences, tables, view
from search.comparison.algorithms import SAYS_SO
from search.comparison.view import AlgorithmView, ComparisonView, SettingView
from search.errors import CannotDraw
from search.reports.page import answer, curves, sections
from search.reports.page import view as study_view
from search.reports.page.builder import RenderedPage, film
from search.reports.page.content import Film, PageContent, PageTable, Plot, Section
from search.reports.page.figures import confirmation_plots, search_plots, trials
from search.reports.page.figures.style import ALGORITHMS
from search.reports.page.page import render
from search.reports.page.reproduction import section as reproduce
from search.reports.page.reproduction import typed, versions
from search.reports.page.view import StudyPage
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.study.origin import CONFIRM
from search.view.wording import count, value
from tracking.tracker import Tracker

RETURNS = 5
"""Columns that are of returns; those behind them are of what these took."""


def make(
    store: Reader,
    searches: Sequence[StudyHandle],
    tracker: Tracker | None,
    tracking: str = "",
    level: float | None = None,
) -> RenderedPage:
    """The page of the comparison of these searches. Raises StorageUnavailable."""
    with store.snapshot() as moment:
        seen = view.read(moment, searches, tracking, level)
        pages = [study_view.read(moment, each, tracking) for each in searches]
    best = _best(seen)
    shown: Film | CannotDraw = CannotDraw("no trial completed, so there is no policy to film")
    if best is not None:
        shown = film(seen.algorithms[best].search, searches[best], tracker, seen.algorithms[best].name)
    facts = versions(seen.algorithms[best or 0].search, tracker)
    return RenderedPage(render(content(seen, pages, shown, facts)), document(seen, pages))


def document(seen: ComparisonView, pages: Sequence[StudyPage]) -> dict[str, Any]:
    """The page's numbers as plain data."""
    more = ("curves", "importances", "failures", "attempts")
    searched = [study_view.document(page) for page in pages]
    return {
        **tables.document(seen),
        "searches": [{"study": each["study"], **{name: each[name] for name in more}} for each in searched],
    }


def _best(seen: ComparisonView) -> int | None:
    """The place of the algorithm whose tuned setting has the highest figure, else the highest score."""
    points = {}
    for place, each in enumerate(seen.algorithms):
        known = each.tuned.candidate.estimate if each.tuned else None
        if each.search.best is not None:
            points[place] = (known is not None, known.point if known else each.search.best.score or 0.0)
    return max(points, key=points.__getitem__) if points else None


def content(
    seen: ComparisonView, pages: Sequence[StudyPage], shown: Film | CannotDraw, facts: Mapping[str, Any]
) -> PageContent:
    """All sections."""
    names = ", ".join(each.name for each in seen.algorithms)
    seeds = count(len(seen.seeds), "held-out seed")
    work = [each for page in pages for each in page.work]
    candidates = [each.candidate for each in seen.settings]
    first = seen.algorithms[0].search
    return PageContent(
        seen.name,
        f"{names} on {seen.task}: {count(seen.trials, 'trial')} each, {count(seen.env_steps, 'step')}, {seeds}",
        [
            ("task", seen.task),
            ("profile", first.profile),
            ("storage", first.storage),
            ("MLflow", first.tracking),
        ],
        [
            _answer(seen),
            sections.film_section(shown),
            _learning(seen),
            _searches(seen, pages),
            _settings(seen),
            sections.timeline_section(work, all(page.attempts_known for page in pages)),
            sections.failures([study for each in seen.algorithms for study in each.studies]),
            reproduce(_command(seen, pages[0]), [page.spec for page in pages], candidates, facts),
        ],
    )


def _answer(seen: ComparisonView) -> Section:
    rows = [
        confirmation_plots.PointRow(each.name, each.candidate, colour)
        for place, colour in _colours(seen)
        for each in (place.tuned, place.untuned)
        if each is not None and any(found is not None for found in each.candidate.values.values())
    ]
    own = [
        f"{each.name} against its own defaults: {each.confirmation.sentence}."
        for each in seen.algorithms
        if each.confirmation is not None
    ]
    plots = [Plot(answer.POINTS, confirmation_plots.draw_points(rows), answer.POINTS_NOTE)] if rows else []
    shown = [
        _wide("Returns", seen, slice(None, RETURNS)),
        _wide("A training takes", seen, slice(RETURNS, None)),
    ]
    found = [*shown, _values(seen)] if seen.settings else []
    return Section(
        "answer", "What was found", sentences.shown(seen), [sentences.not_shown(seen), *own], plots, found
    )


def _colours(seen: ComparisonView) -> list[tuple[AlgorithmView, str]]:
    return [(each, ALGORITHMS[place % len(ALGORITHMS)]) for place, each in enumerate(seen.algorithms)]


def _wide(title: str, seen: ComparisonView, columns: slice) -> PageTable:
    rows = [(each.name, *tables.cells(seen, each)[columns]) for each in seen.settings]
    return PageTable(title, ("", *tables.headings(seen)[columns]), rows)


def _values(seen: ComparisonView) -> PageTable:
    seeds = seen.seeds[: answer.MOST_SEEDS]
    rows = [(f"held-out {seed}", *(tables.value(each, seed) for each in seen.settings)) for seed in seeds]
    return PageTable("Return on held-out seeds", ("", *(each.name for each in seen.settings)), rows)


def _learning(seen: ComparisonView) -> Section:
    drawn = [
        (found, colour)
        for each, colour in _colours(seen)
        if each.tuned is not None and (found := _curves(each.tuned)) is not None
    ]
    if not drawn:
        return Section("curves", "Learning curves", notes=["No held-out training has been evaluated yet."])
    note = "Line: interquartile mean over seeds; band: from the lowest seed to the highest."
    if seen.level is not None:
        note += " Dashed: the level to which steps are counted."
    plot = Plot("Tuned settings while training", confirmation_plots.draw_curves(drawn, seen.level), note)
    return Section("curves", "Learning curves", plots=[plot])


def _curves(tuned: SettingView) -> curves.SeedCurves | None:
    """Of a tuned setting; where that is the defaults, as one that was found."""
    return curves.of_candidate(tuned.candidate, tuned.algorithm)


def _searches(seen: ComparisonView, pages: Sequence[StudyPage]) -> Section:
    named = [(each.name, page.drawn) for each, page in zip(seen.algorithms, pages, strict=True)]
    some = [(name, study) for name, study in named if trials.complete(study)]
    plots = []
    if some:
        plots.append(Plot("Scores in the order of the trials", search_plots.draw_history(some)))
    plots += [
        sections.what_mattered(page, f"What mattered to {each.name}", small=True)
        for each, page in zip(seen.algorithms, pages, strict=True)
        if page.importances
    ]
    own = ", ".join(f"`omad-search report {each.search.name}`" for each in seen.algorithms)
    return Section("history", "The searches", notes=[f"A page of each search alone: {own}."], plots=plots)


def _settings(seen: ComparisonView) -> Section:
    """The best parameters of each algorithm beside one another."""
    found = [(each.name, each.search.best.params) for each in seen.algorithms if each.search.best is not None]
    paths = list(dict.fromkeys(path for _, params in found for path in params))
    rows = [
        (f"`{path}`", *(value(params[path]) if path in params else "" for _, params in found))
        for path in paths
    ]
    table = PageTable("The best trial of each search", ("", *(name for name, _ in found)), rows)
    return Section("parameters", "Parameters", tables=[table] if found else [])


def _command(seen: ComparisonView, page: StudyPage) -> str:
    spec, names = page.spec, ",".join(each.name for each in seen.algorithms)
    words = ["omad-search", "compare", "--algorithms", names, "--task", spec.task, "--name", seen.name]
    words += ["--profile", spec.profile, "--trials", str(seen.trials), "--seeds", str(len(seen.seeds) or 5)]
    left_out = {*SAYS_SO, CONFIRM, "trials"}
    options = spec.origin.options if spec.origin else {"seed": spec.seed}
    return shlex.join(
        [*words, *typed({name: each for name, each in options.items() if name not in left_out})]
    )
