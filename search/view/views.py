"""What a person sees of a study: plain data, read from storage and spools, shown by the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

TrialState = Literal["waiting", "running", "released", "complete", "pruned", "diverged", "failed"]
"""`released`: half-trained, and free to be taken up by a worker."""

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
    curve_step: int = 0
    """Environment steps at the last of them; `step` is told less often."""
    score: float | None = None
    """Mean of its last evaluations: the value the search maximises. None before the first evaluation."""
    steps_per_second: float | None = None
    updates_per_second: float | None = None
    worker: str = ""
    """Who trains it, or did so last, such as `host:4711`: machine and process."""
    device: str = ""
    """Where that worker trains it, such as `cuda:0`; empty before it has told."""
    lease_seconds: float | None = None
    """How long its worker's lease still runs; negative where it ran out and nobody took it up. None without one."""
    attempt: int = 0
    """Claims without a newer checkpoint."""
    run_id: str | None = None
    """Its MLflow run."""
    model_uri: str | None = None
    """Its published model."""
    note: str = ""
    """One phrase: why it ended, or what it is busy with."""

    @property
    def ended(self) -> bool:
        """Whether it has its result."""
        return self.state in ENDED


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
    """Trials that others added to the Optuna study: they inform the sampler and do not count."""
    enqueued: int = 0
    """Trials that a person enqueued and no slot has taken yet."""
    workers: Sequence[str] = ()
    """Those who hold a lease now. One that waits for a free trial holds none."""
    unpublished: Sequence[int] = ()
    """Ended trials whose curve or model is not in MLflow yet, with nobody at it."""

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

    def count(self, *states: TrialState) -> int:
        """Trials in these states."""
        return sum(trial.state in states for trial in self.trials)


@dataclass(frozen=True)
class Returns:
    """Mean return over fresh episodes, with an interval."""

    mean: float
    low: float
    high: float
    """Ends of the 95 % bootstrap interval of the mean."""
    episodes: int


@dataclass(frozen=True)
class ReportView:
    """What a study found: the best trial beside the defaults and random play, on the same episodes."""

    study: StudyView
    best: Returns | None = None
    default: Returns | None = None
    random: Returns | None = None
