"""FakeTracker: a tracker that keeps nothing, for tests of what is not tracking; they override what they look at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tracking.errors import ArtifactMissing
from tracking.row import Row
from tracking.tracker import ModelFiles, RunInfo, RunStatus


class FakeTracker:
    """Takes everything, keeps nothing."""

    address = "nowhere"

    def check(self) -> None:
        """There is nothing to reach."""

    def check_study(self, study: str) -> None:
        """Every study can be recorded."""

    def open_run(self, info: RunInfo) -> str:
        """An id made from the study and the slot, the same every time."""
        return f"run-{info.study}" if info.slot is None else f"run-{info.study}-{info.slot}"

    def has_run(self, run_id: str) -> bool:
        """Every run is here."""
        return True

    def running_trials(self, study: str, study_id: str = "") -> dict[str, int]:
        """None is known."""
        return {}

    def resume_run(self, run_id: str) -> None:
        """Nothing is kept."""

    def complete_run(self, run_id: str, info: RunInfo) -> None:
        """Nothing is kept."""

    def discard_run(self, run_id: str) -> None:
        """Nothing is kept."""

    def log_rows(self, run_id: str, rows: Sequence[Row]) -> None:
        """Nothing is kept."""

    def steps_of(self, run_id: str, metric: str) -> set[int]:
        """None is kept."""
        return set()

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Nothing is kept."""

    def upload(self, run_id: str, files: Mapping[str, Path]) -> None:
        """Nothing is kept."""

    def download(self, run_id: str, artifact: str, target: Path) -> None:
        """There is nothing to fetch."""
        raise ArtifactMissing(f"There is no artifact {artifact!r}.")

    def delete(self, run_id: str, artifact: str) -> None:
        """Nothing is kept."""

    def publish_model(self, run_id: str, name: str, model: ModelFiles) -> str:
        """The address that the model would have had; nothing is kept."""
        return f"models:/{run_id}-{name}"

    def register_champion(self, model_uri: str, name: str, card: str | None) -> str:
        """The address that the champion would have had; nothing is kept."""
        return f"models:/{name}@champion"

    def model_of(self, run_id: str) -> str | None:
        """Nothing is kept."""
        return None

    def download_model(self, model_uri: str, folder: Path) -> Path:
        """There is nothing to fetch."""
        raise ArtifactMissing(f"There is no model {model_uri!r}.")

    def end_run(self, run_id: str, status: RunStatus, reason: str = "") -> None:
        """Nothing is kept."""

    def ui_address(self, run_id: str) -> str | None:
        """There is nothing to look at."""
        return None
