"""Plain lines: what `run` says where nobody watches a terminal; one line for whatever changed."""

import time
from collections.abc import Iterator

from cli import words
from cli.console import say
from search.slots.view import StudyView, TrialView

HEARTBEAT_SECONDS = 60.0


class Lines:
    """Says what is new in a study since it was last shown."""

    def __init__(self) -> None:
        self._seen: dict[int, TrialView] = {}
        self._begun: set[int] = set()
        self._spoke = 0.0

    def show(self, study: StudyView) -> None:
        """Print the news; after a minute without any, one line that says it lives."""
        news = self._news(study) if self._seen else [*_places(study), *self._first_news(study)]
        if not news and time.monotonic() - self._spoke > HEARTBEAT_SECONDS and not study.ended:
            news = [_heartbeat(study)]
        for line in news:
            say(f"{words.duration(study.elapsed_seconds):>7}  {line}")
            self._spoke = time.monotonic()

    def _first_news(self, study: StudyView) -> list[str]:
        """Of a study that is continued: what ended before is counted, not told again."""
        self._seen = dict(enumerate(study.trials))
        ended = sum(trial.ended for trial in study.trials)
        return [f"{ended} of its trials ended before"] if ended else []

    def _news(self, study: StudyView) -> list[str]:
        news = []
        # By its place: a slot that waits has a number which is not yet a trial's.
        for place, trial in enumerate(study.trials):
            before = self._seen.get(place, TrialView(trial.number, "waiting"))
            self._seen[place] = trial
            news += [f"trial {trial.number} {what}" for what in self._changes(study, before, trial)]
        return news

    def _changes(self, study: StudyView, before: TrialView, trial: TrialView) -> Iterator[str]:
        if before.state == "released" and trial.state == "running":
            self._begun.discard(trial.number)
        # While a trial is sampled its parameters appear one by one: told once they are the same twice.
        settled = bool(trial.params) and (trial.params == before.params or len(trial.curve) > 0)
        if settled and trial.state == "running" and trial.number not in self._begun:
            self._begun.add(trial.number)
            yield f"{f'goes on at step {trial.step:,}' if trial.step else 'begins'}: {parameters(trial)}"
        if len(trial.curve) > len(before.curve):
            rate = f" ({words.rate(trial.updates_per_second)} updates/s)" if trial.updates_per_second else ""
            where = f"step {trial.curve_step:,}/{trial.env_steps:,}"
            yield f"at {where}: return {words.score(trial.curve[-1])}{rate}"
        if trial.state != before.state and (trial.ended or trial.state == "released"):
            yield _ended(study, trial)


def _places(study: StudyView) -> list[str]:
    places = f"{study.storage}, MLflow {study.tracking}"
    return [f"study {study.name}: {len(study.trials)} trials of task {study.task} ({places})"]


def parameters(trial: TrialView) -> str:
    """`gamma=0.99 actor.learning_rate=0.0003`"""
    return " ".join(f"{path}={words.value(value)}" for path, value in trial.params.items())


def _ended(study: StudyView, trial: TrialView) -> str:
    line = f"is {trial.state}"
    if trial.note:
        line = f"is {trial.note}" if trial.note.startswith(trial.state) else f"{line} ({trial.note})"
    if trial.state == "complete":
        best = study.best
        mark = ", the best so far" if best is not None and best.number == trial.number else ""
        line += f": score {words.score(trial.score)}{mark}"
    return line


def _heartbeat(study: StudyView) -> str:
    ended = sum(trial.ended for trial in study.trials)
    return f"{ended}/{len(study.trials)} trials, {words.remaining(study.eta_seconds)}"
