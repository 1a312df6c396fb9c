"""Sections: a study's page in its order, from what was found to how to find it again."""

from collections.abc import Mapping, Sequence
from typing import Any

from search.errors import CannotDraw
from search.history.attempts import LOST
from search.reports.page.answer import answer
from search.reports.page.content import Film, PageContent, PageTable, Plot, Section
from search.reports.page.figures import confirmation_plots, importances, search_plots, timeline, trials
from search.reports.page.figures.style import BLUE, ORANGE
from search.reports.page.reproduction import command
from search.reports.page.reproduction import section as reproduce
from search.reports.page.view import FEWEST_COMPLETE, StudyPage, Work
from search.view.views import ENDED, Failure, StudyView
from search.view.wording import count, duration

MOST_REASONS, MOST_NUMBERS = 20, 12


def content(page: StudyPage, film: Film | CannotDraw, facts: Mapping[str, Any]) -> PageContent:
    """The whole page of a study; `facts`: the versions it was trained with."""
    study, confirmation = page.study, page.report.confirmation
    return PageContent(
        study.name,
        summary(study),
        [
            ("task", study.task),
            ("profile", study.profile),
            ("storage", study.storage),
            ("MLflow", study.tracking),
        ],
        [
            answer(page),
            film_section(film),
            learning(page),
            search_section(page),
            parameters(page),
            evaluations(page),
            timeline_section(page.work, page.attempts_known),
            failures([study, *([confirmation.study] if confirmation else [])]),
            reproduce(
                command(page.spec), [page.spec], confirmation.candidates if confirmation else [], facts
            ),
        ],
    )


def summary(study: StudyView) -> str:
    """Such as `12 trials of hopper: 7 complete, 5 pruned, in 8:12`."""
    counts = ", ".join(f"{study.count(state)} {state}" for state in ENDED if study.count(state))
    left = sum(not trial.ended for trial in study.trials)
    parts = ", ".join(filter(None, [counts, f"{left} not ended" if left else ""]))
    trials_ = f"{count(len(study.trials), 'trial')} of {study.task}: {parts or 'none'}"
    return f"{trials_}, in {duration(study.elapsed_seconds)}"


def film_section(film: Film | CannotDraw) -> Section:
    """The best policy at work, or why it is not shown."""
    if isinstance(film, CannotDraw):
        return Section("film", "The best policy", notes=[f"No film: {film}."])
    return Section("film", "The best policy", film=film)


def learning(page: StudyPage) -> Section:
    """Learning curves of the best and of the defaults."""
    if not page.curves:
        return Section("curves", "Learning curves", notes=["No training has been evaluated yet."])
    drawn = [(curves, ORANGE if curves.default else BLUE) for curves in page.curves]
    over = max(curves.seeds for curves in page.curves)
    note = (
        f"Line: interquartile mean over {count(over, 'held-out seed')}; band: from the lowest seed to the highest."
        if page.report.confirmation
        else "Of the trials of the search, which has seen their seeds: nothing was confirmed."
    )
    return Section(
        "curves",
        "Learning curves",
        plots=[Plot("Return while training", confirmation_plots.draw_curves(drawn), note)],
    )


def search_section(page: StudyPage) -> Section:
    """How the search went on, and what mattered."""
    if not trials.complete(page.drawn):
        return Section(
            "history", "The search", notes=["No trial has completed yet, so there are no scores to draw."]
        )
    note = "Each point is one noisy training: the best of them flatters. What held is above."
    history = Plot(
        "Scores in the order of the trials", search_plots.draw_history([(page.study.name, page.drawn)]), note
    )
    if not page.importances:
        return Section("history", "The search", plots=[history])
    return Section("history", "The search", plots=[history, what_mattered(page)])


def what_mattered(page: StudyPage, title: str = "What mattered", *, small: bool = False) -> Plot:
    """Importances, and what they are."""
    told = "How far each parameter alone separates the best tenth of the trials from the others (PED-ANOVA)."
    if page.importances_rough:
        told = f"{told} {ROUGH_NOTE}"
    return Plot(title, importances.draw_importances(page.importances), told, small=small)


def parameters(page: StudyPage) -> Section:
    """Slices, parallel coordinates and a contour; a word where there are too few trials."""
    complete = trials.complete(page.drawn)
    if not page.enough or not page.importances:
        why = f"{count(len(complete), 'complete trial')}: fewer than {FEWEST_COMPLETE} say nothing of parameters"
        if page.enough:
            why = "All complete trials have the same score, which says nothing of parameters"
        left_out = "importances, slices, parallel coordinates and a contour are left out"
        return Section("parameters", "Parameters", notes=[f"{why}, so {left_out}."])
    ranked = sorted(page.importances, key=page.importances.__getitem__, reverse=True)
    varied = [name for name in ranked if len({t.params[name] for t in complete if name in t.params}) > 1]
    plots = [
        Plot("All parameters at once", search_plots.draw_parallel(page.drawn), PARALLEL_NOTE, phone=False)
    ]
    if (contour := search_plots.draw_contour(page.drawn, page.importances)) is not None:
        plots.append(Plot("The two that mattered most", contour, _contour_note(len(complete))))
    plots += [Plot(name, search_plots.draw_slice(page.drawn, name), small=True) for name in varied]
    return Section(
        "parameters",
        "Parameters",
        notes=["Scores by value; of each small plot, lighter points are later trials."],
        plots=plots,
    )


ROUGH_NOTE = "Of one that depends on another's value, fewer than two trials had it or went without: its share is rough."
PARALLEL_NOTE = (
    "A line a complete trial; the lighter, the higher its score. None: what a trial does not have."
)


def _contour_note(complete: int) -> str:
    most = search_plots.MOST_CONTOUR
    drawn = f" Of {most} of the {complete:,} complete trials, evenly by score." if complete > most else ""
    return f"Points are complete trials; colours between them are interpolated.{drawn}"


def evaluations(page: StudyPage) -> Section:
    """Evaluations while the search ran, and where trials were pruned."""
    title, study = "Evaluations and pruning", page.study
    having = [trial for trial in study.trials if trial.curve and trial.params]
    if not having:
        return Section("pruning", title, notes=["No trial of the search has been evaluated yet."])
    pruned = study.count("pruned")
    told = (
        f"{count(pruned, 'trial')} of {len(study.trials):,} ended early, pruned by `{page.spec.pruner.name}`."
    )
    most = search_plots.MOST_CURVES
    note = (
        f"{most} of {len(having):,} curves, evenly by score, the best and the defaults."
        if len(having) > most + 2
        else ""
    )
    drawn = search_plots.draw_evaluations(page.drawn, study)
    return Section(
        "pruning", title, notes=[told], plots=[Plot("Every evaluation of the search", drawn, note)]
    )


def timeline_section(work: Sequence[Work], known: bool) -> Section:
    """Who was at work when."""
    title = "Workers and trials"
    if not work:
        return Section("timeline", title, notes=["No worker has begun a trial yet."])
    again, silences = timeline.taken_over(work), timeline.outages(work)
    lost = sum(piece.attempt.end == LOST for piece in work)
    happened = [
        f"{lost} fell silent" if lost else "",
        f"{len(again)} taken over by a worker that went on" if again else "",
    ]
    more = ", ".join(filter(None, happened))
    workers = count(len({piece.attempt.owner for piece in work}), "worker")
    told = [f"{count(len(work), 'attempt')} by {workers}{f': {more}' if more else ''}."]
    if silences:
        spans = ", ".join(duration(ended - began) for began, ended in silences[:MOST_NUMBERS])
        told.append(f"Nobody was at work for {spans} (grey).")
    if not known:
        told = [
            "The release that ran this study stored no attempts: these are the times of its trials, without takeovers."
        ]
    note = "Behind the dashed line: held-out trainings." if any(piece.held_out for piece in work) else ""
    return Section(
        "timeline",
        title,
        notes=told,
        plots=[Plot("A row a worker, a bar an attempt", timeline.draw(work), note)],
    )


def failures(studies: Sequence[StudyView]) -> Section:
    """What went wrong, grouped by reason."""
    reasons = [(study, failure) for study in studies for failure in study.without_result]
    if not reasons:
        return Section("failures", "What went wrong", notes=["No trial failed or diverged."])
    rows = [
        (str(len(failure.numbers)), failure.state, failure.reason, _numbers(study, failure))
        for study, failure in reasons[:MOST_REASONS]
    ]
    more = (
        f"And {len(reasons) - MOST_REASONS} more reasons: `omad-search trials`."
        if len(reasons) > MOST_REASONS
        else ""
    )
    table = PageTable("Trials without a result, by reason", ("how many", "state", "reason", "trials"), rows)
    return Section("failures", "What went wrong", notes=[more] if more else [], tables=[table])


def _numbers(study: StudyView, failure: Failure) -> str:
    shown = ", ".join(map(str, failure.numbers[:MOST_NUMBERS]))
    more = len(failure.numbers) - MOST_NUMBERS
    return f"{shown}{f' and {more} more' if more > 0 else ''}{f' ({study.name})' if study.parent else ''}"
