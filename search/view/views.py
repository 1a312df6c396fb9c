"""What a person sees of a study: plain data, read from a storage, shown by the command line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

TrialState = Literal["waiting", "running", "released", "complete", "pruned", "diverged", "failed"]
"""`released`: half-trained, and free to be taken up by a worker."""

_STEP = re.compile(r"\bstep \d[\d,]*")
ENDED: tuple[TrialState, ...] = ("complete", "pruned", "diverged", "failed")


@dataclass(frozen=True)
class TrialView:
    """One slot of the budget and what became of it."""

    number: int
    state: TrialState
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sampled parameters by dotted path; empty while nothing is sampled."""
    step: int = 0
    env_steps: int = 0
    """Environment steps of the whole training."""
    curve: Sequence[float] = ()
    """Mean return of each evaluation so far, over the trial's seeds."""
    curve_steps: Sequence[int] = ()
    """Environment steps at each of them."""
    curve_step: int = 0
    """Environment steps at the last of them; `step` is written less often."""
    score: float | None = None
    """Mean of its last evaluations: the value the search maximises. None before the first evaluation."""
    steps_per_second: float | None = None
    updates_per_second: float | None = None
    updates: int | None = None
    """Critic updates done, of one seed; None before the first."""
    processor_seconds: float | None = None
    """What training it has cost so far: of its worker's processors, or of its GPU. None where it was not measured."""
    worker: str = ""
    """The worker that trains it, or did so last, such as `host:4711`: machine and process."""
    device: str = ""
    """Where that worker trains it, such as `cuda:0`; empty before it has written that."""
    lease_seconds: float | None = None
    """Seconds that its worker's lease still runs; None without one.

    Negative since it ran out; 0 where its worker was one of this machine and is gone.
    """
    attempt: int = 0
    """Claims without a newer checkpoint."""
    run_id: str | None = None
    """Its MLflow run."""
    model_uri: str | None = None
    """Its published model."""
    note: str = ""
    """One phrase: why it ended, or what it is busy with."""
    label: str = ""
    """Of a confirmation: what it trains, such as `held-out 1 of defaults`."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or f"trial {self.number}"

    @property
    def ended(self) -> bool:
        """Whether it has its result."""
        return self.state in ENDED

    @property
    def reason(self) -> str:
        """The first line of why it ended, without the state's own name."""
        first = next(iter(self.note.splitlines()), "")
        return first.removeprefix(f"{self.state}: ").removeprefix(f"{self.state} ") or "no reason is known"


@dataclass(frozen=True)
class Failure:
    """Why trials ended without a result, where they did for one reason."""

    state: TrialState
    reason: str
    """As the first of them has it."""
    numbers: Sequence[int]
    """The trials, by number."""


@dataclass(frozen=True)
class StudyView:
    """A study at one moment."""

    name: str
    task: str
    profile: str
    storage: str
    """Address without a password."""
    tracking: str
    """Address without a password."""
    wanted: Literal["running", "paused", "stopping", "moving", "moved"] = "running"
    trials: Sequence[TrialView] = ()
    """Every slot, by number: the budget is their count."""
    default_number: int | None = None
    """The trial that trains the untuned parameters."""
    elapsed_seconds: float = 0.0
    """Since this study was created; of a live view, since this command began."""
    eta_seconds: float | None = None
    """Estimate of the time to its end. None while nothing is known, 0 when it has ended."""
    external: int = 0
    """Trials that other programs added to the Optuna study: they inform the sampler and do not count."""
    enqueued: int = 0
    """Trials that a person enqueued and no slot has taken yet."""
    workers: Sequence[str] = ()
    """Workers that hold a lease now. One that waits for a free trial holds none."""
    parent: str = ""
    """Of a confirmation: the search whose best it trains again."""
    unpublished: Sequence[int] = ()
    """Ended trials whose curve or model is not in MLflow yet, and that no worker is sending."""

    @cached_property
    def best(self) -> TrialView | None:
        """The completed trial with the highest score."""
        completed = [trial for trial in self.trials if trial.state == "complete" and trial.score is not None]
        return max(completed, key=lambda trial: trial.score or 0.0, default=None)

    @cached_property
    def default(self) -> TrialView | None:
        """The trial that trains the untuned parameters."""
        return next((trial for trial in self.trials if trial.number == self.default_number), None)

    @cached_property
    def ended(self) -> bool:
        """Whether every trial has its result."""
        return all(trial.ended for trial in self.trials)

    @cached_property
    def leased(self) -> Sequence[TrialView]:
        """Trials in the hands of a worker: first those whose lease ran out, then worker by worker."""
        held = [trial for trial in self.trials if trial.lease_seconds is not None]
        return sorted(held, key=lambda t: ((t.lease_seconds or 0.0) > 0.0, t.worker, t.number))

    @cached_property
    def failures(self) -> Sequence["Failure"]:
        """Trials that failed, grouped by reason, the commonest first.

        Where no trial has completed and none is left, also those that diverged or were pruned.
        """
        nothing_found = self.ended and self.best is None
        return self._grouped(*(("failed", "diverged", "pruned") if nothing_found else ("failed",)))

    @cached_property
    def without_result(self) -> Sequence["Failure"]:
        """Trials that failed or diverged, grouped by reason, the commonest first."""
        return self._grouped("failed", "diverged")

    def _grouped(self, *states: TrialState) -> Sequence["Failure"]:
        groups: dict[tuple[str, str], list[TrialView]] = {}
        for trial in self.trials:
            if trial.state in states:
                # One cause met at several steps is one reason.
                groups.setdefault((trial.state, _STEP.sub("step", trial.reason)), []).append(trial)
        largest_first = sorted(groups.values(), key=len, reverse=True)
        return [Failure(g[0].state, g[0].reason, [t.number for t in g]) for g in largest_first]

    def count(self, *states: TrialState) -> int:
        """Trials in these states."""
        return sum(trial.state in states for trial in self.trials)
