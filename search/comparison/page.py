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
        comparison = view.read(moment, searches, tracking, level)
        pages = [study_view.read(moment, search, tracking) for search in searches]
    best = _best(comparison)
    shown: Film | CannotDraw = CannotDraw("no trial completed, so there is no policy to film")
    if best is not None:
        shown = film(
            comparison.algorithms[best].search, searches[best], tracker, comparison.algorithms[best].name
        )
    facts = versions(comparison.algorithms[best or 0].search, tracker)
    return RenderedPage(render(content(comparison, pages, shown, facts)), document(comparison, pages))


def document(comparison: ComparisonView, pages: Sequence[StudyPage]) -> dict[str, Any]:
    """The page's numbers as plain data."""
    more = ("curves", "importances", "failures", "attempts")
    searched = [study_view.document(page) for page in pages]
    return {
        **tables.document(comparison),
        "searches": [{"study": each["study"], **{name: each[name] for name in more}} for each in searched],
    }


def _best(comparison: ComparisonView) -> int | None:
    """The place of the algorithm whose tuned setting has the highest figure, else the highest score."""
    points = {}
    for place, algorithm in enumerate(comparison.algorithms):
        known = algorithm.tuned.candidate.estimate if algorithm.tuned else None
        if algorithm.search.best is not None:
            points[place] = (known is not None, known.point if known else algorithm.search.best.score or 0.0)
    return max(points, key=points.__getitem__) if points else None


def content(
    comparison: ComparisonView, pages: Sequence[StudyPage], shown: Film | CannotDraw, facts: Mapping[str, Any]
) -> PageContent:
    """All sections."""
    names = ", ".join(algorithm.name for algorithm in comparison.algorithms)
    trials_each, steps = f"{count(comparison.trials, 'trial')} each", count(comparison.env_steps, "step")
    seeds = count(len(comparison.seeds), "held-out seed")
    work = [piece for page in pages for piece in page.work]
    candidates = [setting.candidate for setting in comparison.settings]
    first = comparison.algorithms[0].search
    return PageContent(
        comparison.name,
        f"{names} on {comparison.task}: {trials_each}, {steps}, {seeds}",
        [
            ("task", comparison.task),
            ("profile", first.profile),
            ("storage", first.storage),
            ("MLflow", first.tracking),
        ],
        [
            _answer(comparison),
            sections.film_section(shown),
            _learning(comparison),
            _searches(comparison, pages),
            _settings(comparison),
            sections.timeline_section(work, all(page.attempts_known for page in pages)),
            sections.failures([study for algorithm in comparison.algorithms for study in algorithm.studies]),
            reproduce(_command(comparison, pages[0]), [page.spec for page in pages], candidates, facts),
        ],
    )


def _answer(comparison: ComparisonView) -> Section:
    rows = [
        confirmation_plots.PointRow(each.name, each.candidate, colour)
        for place, colour in _colours(comparison)
        for each in (place.tuned, place.untuned)
        if each is not None
        and any(tables_shown is not None for tables_shown in each.candidate.values.values())
    ]
    own_sentences = [
        f"{algorithm.name} against its own defaults: {algorithm.confirmation.sentence}."
        for algorithm in comparison.algorithms
        if algorithm.confirmation is not None
    ]
    plots = [Plot(answer.POINTS, confirmation_plots.draw_points(rows), answer.POINTS_NOTE)] if rows else []
    shown = [
        _wide("Returns", comparison, slice(None, RETURNS)),
        _wide("A training takes", comparison, slice(RETURNS, None)),
    ]
    tables_shown = [*shown, _values(comparison)] if comparison.settings else []
    return Section(
        "answer",
        "What was found",
        sentences.shown(comparison),
        [sentences.not_shown(comparison), *own_sentences],
        plots,
        tables_shown,
    )


def _colours(comparison: ComparisonView) -> list[tuple[AlgorithmView, str]]:
    return [
        (algorithm, ALGORITHMS[place % len(ALGORITHMS)])
        for place, algorithm in enumerate(comparison.algorithms)
    ]


def _wide(title: str, comparison: ComparisonView, columns: slice) -> PageTable:
    rows = [(setting.name, *tables.cells(comparison, setting)[columns]) for setting in comparison.settings]
    return PageTable(title, ("", *tables.headings(comparison)[columns]), rows)


def _values(comparison: ComparisonView) -> PageTable:
    seeds = comparison.seeds[: answer.MOST_SEEDS]
    rows = [
        (f"held-out {seed}", *(tables.value(setting, seed) for setting in comparison.settings))
        for seed in seeds
    ]
    return PageTable(
        "Return on held-out seeds", ("", *(setting.name for setting in comparison.settings)), rows
    )


def _learning(comparison: ComparisonView) -> Section:
    drawn = [
        (seed_curves, colour)
        for each, colour in _colours(comparison)
        if each.tuned is not None and (seed_curves := _curves(each.tuned)) is not None
    ]
    if not drawn:
        return Section("curves", "Learning curves", notes=["No held-out training has been evaluated yet."])
    note = "Line: interquartile mean over seeds; band: from the lowest seed to the highest."
    if comparison.level is not None:
        note += " Dashed: the level to which steps are counted."
    plot = Plot(
        "Tuned settings while training", confirmation_plots.draw_curves(drawn, comparison.level), note
    )
    return Section("curves", "Learning curves", plots=[plot])


def _curves(tuned: SettingView) -> curves.SeedCurves | None:
    """Of a tuned setting; where that is the defaults, as one that was found."""
    return curves.of_candidate(tuned.candidate, tuned.algorithm)


def _searches(comparison: ComparisonView, pages: Sequence[StudyPage]) -> Section:
    named = [(each.name, page.drawn) for each, page in zip(comparison.algorithms, pages, strict=True)]
    some = [(name, study) for name, study in named if trials.complete(study)]
    plots = []
    if some:
        plots.append(Plot("Scores in the order of the trials", search_plots.draw_history(some)))
    plots += [
        sections.what_mattered(page, f"What mattered to {each.name}", small=True)
        for each, page in zip(comparison.algorithms, pages, strict=True)
        if page.importances
    ]
    commands = ", ".join(
        f"`omad-search report {algorithm.search.name}`" for algorithm in comparison.algorithms
    )
    return Section(
        "history", "The searches", notes=[f"A page of each search alone: {commands}."], plots=plots
    )


def _settings(comparison: ComparisonView) -> Section:
    """The best parameters of each algorithm beside one another."""
    named = [
        (algorithm.name, algorithm.search.best.params)
        for algorithm in comparison.algorithms
        if algorithm.search.best is not None
    ]
    paths = list(dict.fromkeys(path for _, params in named for path in params))
    rows = [
        (f"`{path}`", *(value(params[path]) if path in params else "" for _, params in named))
        for path in paths
    ]
    table = PageTable("The best trial of each search", ("", *(name for name, _ in named)), rows)
    return Section("parameters", "Parameters", tables=[table] if named else [])


def _command(comparison: ComparisonView, page: StudyPage) -> str:
    spec, names = page.spec, ",".join(algorithm.name for algorithm in comparison.algorithms)
    words = ["omad-search", "compare", "--algorithms", names, "--task", spec.task, "--name", comparison.name]
    words += [
        "--profile",
        spec.profile,
        "--trials",
        str(comparison.trials),
        "--seeds",
        str(len(comparison.seeds) or 5),
    ]
    left_out = {*SAYS_SO, CONFIRM, "trials"}
    options = spec.origin.options if spec.origin else {"seed": spec.seed}
    return shlex.join(
        [*words, *typed({name: each for name, each in options.items() if name not in left_out})]
    )
