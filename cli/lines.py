"""Plain lines: what `run` says where nobody watches a terminal; one line for whatever changed."""

import time

from cli import words
from cli.console import say
from search.view import StudyView, TrialView

HEARTBEAT_SECONDS = 60.0


class Lines:
    """Says what is new in a study since it was last shown."""

    def __init__(self) -> None:
        self._seen: dict[int, TrialView] = {}
        self._spoke = 0.0
        self._first = True

    def show(self, study: StudyView) -> None:
        """Print the news; after a minute without any, one line that says it lives."""
        news = [line for trial in study.trials for line in self._news(study, trial)]
        if self._first:
            places = f"{study.storage}, MLflow {study.tracking}"
            news.insert(0, f"study {study.name}: {len(study.trials)} trials of task {study.task} ({places})")
            self._first = False
        if not news and time.monotonic() - self._spoke > HEARTBEAT_SECONDS and not study.ended:
            news = [_heartbeat(study)]
        for line in news:
            say(f"{words.duration(study.elapsed_seconds):>6}  {line}")
            self._spoke = time.monotonic()

    def _news(self, study: StudyView, trial: TrialView) -> list[str]:
        before = self._seen.get(trial.number)
        if trial.state == "waiting":
            return []
        self._seen[trial.number] = trial
        name = f"trial {trial.number}"
        lines = []
        if trial.params and (before is None or not before.params):
            lines.append(f"{name} {'begins' if trial.step == 0 else 'goes on'}: {parameters(trial)}")
        if len(trial.curve) > (len(before.curve) if before else 0):
            where = f"step {trial.step:,}/{trial.env_steps:,}"
            rate = f", {words.rate(trial.updates_per_second)} updates/s" if trial.updates_per_second else ""
            lines.append(f"{name} at {where}: return {words.score(trial.curve[-1])}{rate}")
        if trial.state != (before.state if before else None) and (trial.ended or trial.state == "released"):
            lines.append(_ended(study, trial))
        return lines


def parameters(trial: TrialView) -> str:
    """`gamma=0.99 actor.learning_rate=0.0003`"""
    return " ".join(f"{path}={words.value(value)}" for path, value in trial.params.items())


def _ended(study: StudyView, trial: TrialView) -> str:
    note = f" ({trial.note})" if trial.note else ""
    line = f"trial {trial.number} {trial.state}{note}"
    if trial.state == "complete":
        best = study.best
        mark = ", the best so far" if best is not None and best.number == trial.number else ""
        line += f": score {words.score(trial.score)}{mark}"
    return line


def _heartbeat(study: StudyView) -> str:
    ended = sum(trial.ended for trial in study.trials)
    return f"{ended}/{len(study.trials)} trials, {words.remaining(study.eta_seconds)}"
