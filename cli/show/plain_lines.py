"""Plain lines: what `run` prints where stdout is no terminal; one line for each change."""

import time
from collections.abc import Iterator, Sequence

from cli.show import numbers
from cli.show.console import one_line, say
from search.view.views import Failure, StudyView, TrialView

HEARTBEAT_SECONDS = 25.0
"""Below half a minute, the longest silence that is promised, by more than a look takes."""
MOST_REASONS = 5
MOST_NUMBERS = 8
"""Of reasons for failures, and of trials named by number in one."""


class PlainLines:
    """Says what is new in a study since it was last shown."""

    def __init__(self, prefix: str = "", *, heartbeat: bool = True, stderr: bool = False) -> None:
        """`prefix`: what each line begins with. `heartbeat`: whether it speaks where there is no news."""
        self._prefix, self._heartbeat, self._stderr = prefix, heartbeat, stderr
        self._seen: dict[int, TrialView] = {}
        self._begun: set[int] = set()
        self._spoke = 0.0

    def show(self, study: StudyView, elapsed_seconds: float | None = None) -> bool:
        """Print the news; where there is none, at least every half minute one line that says it lives.

        `elapsed_seconds`: other than the study's own. Returns whether anything was printed.
        """
        news = self._news(study) if self._seen else [*_places(study), *self._first_news(study)]
        silent = time.monotonic() - self._spoke > HEARTBEAT_SECONDS
        if not news and self._heartbeat and silent:
            news = [_heartbeat(study)]
        elapsed = numbers.duration(study.elapsed_seconds if elapsed_seconds is None else elapsed_seconds)
        for line in news:
            say(f"{elapsed:>7}  {self._prefix}{line}", stderr=self._stderr)
            self._spoke = time.monotonic()
        return bool(news)

    def _first_news(self, study: StudyView) -> list[str]:
        """The first lines of a continued study: trials that ended before are counted, not listed."""
        self._seen = dict(enumerate(study.trials))
        ended = sum(trial.ended for trial in study.trials)
        return [f"{ended} of its trials ended before"] if ended else []

    def _news(self, study: StudyView) -> list[str]:
        news = []
        # By its place: a slot that waits has a number which is not yet a trial's.
        for location, trial in enumerate(study.trials):
            before = self._seen.get(location, TrialView(trial.number, "waiting"))
            self._seen[location] = trial
            news += [f"{trial.name} {what}" for what in self._changes(study, before, trial)]
        return news

    def _changes(self, study: StudyView, before: TrialView, trial: TrialView) -> Iterator[str]:
        if before.state == "released" and trial.state == "running":
            self._begun.discard(trial.number)
        # A trial's parameters appear one by one while it is sampled: printed once two reads agree.
        settled = bool(trial.params) and (trial.params == before.params or len(trial.curve) > 0)
        if settled and trial.state == "running" and trial.number not in self._begun:
            self._begun.add(trial.number)
            told = "" if trial.label else f": {parameters(trial)}"
            yield (f"goes on at step {trial.step:,}" if trial.step else "begins") + told
        if len(trial.curve) > len(before.curve):
            rate = (
                f" ({numbers.rate(trial.updates_per_second)} updates/s)" if trial.updates_per_second else ""
            )
            where = f"step {trial.curve_step:,}/{trial.env_steps:,}"
            yield f"at {where}: return {numbers.score(trial.curve[-1])}{rate}"
        if trial.state != before.state and (trial.ended or trial.state == "released"):
            yield _ended(study, trial)


def _places(study: StudyView) -> list[str]:
    places = f"{study.storage}, MLflow {study.tracking}"
    if study.parent:
        held_out = numbers.count(len(study.trials), "training")
        return [f"confirming {study.parent}: {held_out} with held-out seeds ({places})"]
    return [
        f"study {study.name}: {numbers.count(len(study.trials), 'trial')} of task {study.task} ({places})"
    ]


def parameters(trial: TrialView) -> str:
    """`gamma=0.99 actor.learning_rate=0.0003`"""
    return " ".join(f"{path}={numbers.value(value)}" for path, value in trial.params.items())


def _ended(study: StudyView, trial: TrialView) -> str:
    line = f"is {trial.state}"
    if note := one_line(trial.note):
        line = f"is {note}" if note.startswith(trial.state) else f"{line} ({note})"
    if trial.state == "complete":
        best = None if study.parent else study.best
        mark = ", the best so far" if best is not None and best.number == trial.number else ""
        line += f": score {numbers.score(trial.score)}{mark}"
    return line


def _heartbeat(study: StudyView) -> str:
    ended = sum(trial.ended for trial in study.trials)
    what = "held-out training" if study.parent else "trial"
    if study.ended:  # and is still looked at: its workers are not done with it
        return f"all {numbers.count(ended, what)} have ended; their workers send the last results"
    return f"{ended}/{numbers.count(len(study.trials), what)}, {numbers.remaining(study.eta_seconds)}"


def failure_lines(study: StudyView) -> list[str]:
    """A line for each reason for which trials failed, the most frequent first; few however many there are."""
    failures = study.failures
    lines = [
        f"{_trials(failure.numbers)} {_ended_how(failure)}: {failure.reason}"
        for failure in failures[:MOST_REASONS]
    ]
    if left := sum(len(failure.numbers) for failure in failures[MOST_REASONS:]):
        reasons = numbers.count(len(failures) - MOST_REASONS, "other reason")
        lines.append(f"{left} more ended without a result for {reasons}")
    return lines


def _ended_how(failure: Failure) -> str:
    if failure.state != "pruned":
        return failure.state
    return "was pruned" if len(failure.numbers) == 1 else "were pruned"


def _trials(which: Sequence[int]) -> str:
    """`trial 3`, `trials 3, 5`, or how many where they are many."""
    if len(which) > MOST_NUMBERS:
        return numbers.count(len(which), "trial")
    return f"trial{'s' if len(which) > 1 else ''} {', '.join(map(str, sorted(which)))}"
