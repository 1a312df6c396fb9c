"""Tracker: where studies and trials are recorded. Every call can be repeated and changes nothing twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tracking.row import Row

RunStatus = Literal["finished", "failed", "pruned", "killed"]


@dataclass(frozen=True)
class RunInfo:
    """What is known of a study or trial when its run is opened."""

    name: str
    """`hopper` for a study's parent run, `trial 17` for a trial."""
    study: str
    """The study; names the experiment."""
    study_id: str = ""
    """Distinguishes this study from an earlier one of the same name, whose storage was deleted; may be empty."""
    slot: int | None = None
    """Slot number of a trial; None for the study's parent run."""
    generation: str = ""
    """Distinguishes this run of the slot from earlier ones: of another trial, or of one that had to go back."""
    parent_run_id: str | None = None
    parent_study_id: str = ""
    """The study whose own run is this one's parent, where `parent_run_id` does not say; in the same experiment."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sampled parameters of a trial, as sampled."""
    tags: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)
    """JSON documents stored as artifacts: file name to content (effective config, spec, provenance)."""


@dataclass(frozen=True)
class ModelFiles:
    """A policy folder to publish as a model."""

    folder: Path
    """safetensors + JSON, as `omad_core.Policy.save` writes it."""
    code: Path
    """The pyfunc "model from code" file."""
    code_paths: Sequence[Path]
    """Packages that the code needs and no index offers."""
    requirements: Sequence[str]
    input_example: Any
    """NumPy array, one batch of joint observations."""
    output_example: Any
    """What the model answers to it."""
    any_width: bool = False
    """Whether the model also answers to rows of another width; its own code then checks them."""
    predict_params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that `predict(..., params=...)` takes, with their defaults; MLflow drops all others."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What models are ranked by. A name of the curve must carry the curve's value at `step`."""
    step: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Tracker(Protocol):
    """Where runs are kept. All methods raise TrackingUnavailable where the server cannot be reached.

    What is written to a run that was deleted in the store raises RunDeleted.
    """

    @property
    def address(self) -> str:
        """Where it is; may hold a password."""
        ...

    def check(self) -> None:
        """Reach the store within about a second, creating an empty one under a lock."""
        ...

    def check_study(self, study: str) -> None:
        """Raise TrackingRefused where nothing can be recorded for a study of this name, and say what to do."""
        ...

    def open_run(self, info: RunInfo) -> str:
        """The id of the study's or trial's run: found by its tags (study, slot), else created."""
        ...

    def has_run(self, run_id: str) -> bool:
        """Whether this store is the one with this run, also where that was deleted and may be restored."""
        ...

    def running_trials(self, study: str, study_id: str = "") -> dict[str, int]:
        """The trials shown as running, run id to slot: those whose worker died are among them."""
        ...

    def resume_run(self, run_id: str) -> None:
        """Show a run as running again, where it had been ended: a successor resumes it."""
        ...

    def complete_run(self, run_id: str, info: RunInfo) -> None:
        """Write what is missing of params, tags and documents; params already there are left."""
        ...

    def discard_run(self, run_id: str) -> None:
        """Delete a run that lost the race to be its slot's."""
        ...

    def log_rows(self, run_id: str, rows: Sequence[Row]) -> None:
        """Send rows in as few batches as the store takes; identical rows count once."""
        ...

    def steps_of(self, run_id: str, metric: str) -> set[int]:
        """The steps at which a run has a point of this metric."""
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None: ...

    def upload(self, run_id: str, files: Mapping[str, Path]) -> None:
        """Store local files as artifacts: artifact path to file."""
        ...

    def download(self, run_id: str, artifact: str, target: Path) -> None:
        """Fetch one artifact into the file `target`, atomically. Raises ArtifactMissing."""
        ...

    def delete(self, run_id: str, artifact: str) -> None:
        """Delete an artifact or a folder of them; absent ones are no error."""
        ...

    def publish_model(self, run_id: str, name: str, model: ModelFiles) -> str:
        """Store a LoggedModel linked to the run, once per run; returns its `models:/` URI."""
        ...

    def register_champion(self, model_uri: str, name: str, card: str | None) -> str:
        """Make a published model the champion of the registered model `name`, its card as the description;
        None leaves the card it has. The champion before it stays as an older version. Returns
        `models:/NAME@champion`."""
        ...

    def model_of(self, run_id: str) -> str | None:
        """Address of the model that a run has published, if it has."""
        ...

    def download_model(self, model_uri: str, folder: Path) -> Path:
        """Fetch a published model below `folder`; returns the policy folder in it. Raises ArtifactMissing."""
        ...

    def end_run(self, run_id: str, status: RunStatus, reason: str = "") -> None:
        """Close a run with its true status."""
        ...

    def ui_address(self, run_id: str) -> str | None:
        """Where a person looks at it, if there is such an address."""
        ...
