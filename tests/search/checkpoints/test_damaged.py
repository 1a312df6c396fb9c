"""Checkpoints that are damaged or gone: the one before is used, or the trial begins again, and the log says so."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search.checkpoints.workdir import Workdir
from search.slots.lease import CheckpointRef
from search.slots.studies import optuna_study
from search.storage.store import open_storage
from search.worker.context import WorkerLocation
from search.worker.worker import Worker
from tracking.mlflow.tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


class KilledStudy:
    """What a worker left that was killed, with two checkpoints at least; the same again for each test."""

    def __init__(self, study: Any, aside: Path) -> None:
        self.study, self._aside = study, aside
        shutil.copytree(study.folder, aside)

    def restore(self) -> None:
        self.study.store.close()
        shutil.rmtree(self.study.folder)
        shutil.copytree(self._aside, self.study.folder)
        self.study.store = open_storage(self.study.storage)  # Optuna remembers the trials that ended

    @property
    def checkpoints(self) -> list[CheckpointRef]:
        return list(self.study.rows()[0].checkpoints)

    def files(self, name: str, location: str) -> list[Path]:
        """The files of a checkpoint's folder: at home, or where the tracking store keeps them."""
        folder = Path(name).parent.as_posix()
        return [file for found in (self.study.folder / location).rglob(folder) for file in found.iterdir()]

    def work(self, home: str = "home") -> None:
        """A worker of this process, to the end of the study."""
        study = self.study
        tracker = MlflowTracker(study.tracking)
        Worker(study.store, study.handle, tracker, WorkerLocation(Workdir(study.folder / home))).run()


@pytest.fixture(scope="module")
def begun(
    tmp_path_factory: pytest.TempPathFactory, new_study_folder: Callable[..., Any]
) -> Iterator[KilledStudy]:
    folder = tmp_path_factory.mktemp("scene")
    with pytest.MonkeyPatch.context() as patch:
        # MLflow must not keep the files open that are laid back.
        patch.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
        study = new_study_folder(folder / "study", 1)
        try:
            study.start()
            study.wait_for(
                lambda rows: len([r for r in rows[0].checkpoints if r.uri is not None and r.step > 100]) > 1
            )
            study.kill()
            yield KilledStudy(study, folder / "aside")
        finally:
            study.kill()
            study.store.close()


@pytest.fixture
def killed(begun: KilledStudy) -> KilledStudy:
    begun.restore()
    return begun


def damage(files: list[Path]) -> None:
    """Change one byte of each."""
    assert files
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


def delete(files: list[Path]) -> None:
    assert files
    for file in files:
        file.unlink()


@pytest.mark.parametrize(
    ("where", "harm"),
    [("here", damage), ("tracking", damage), pytest.param("tracking", delete, marks=pytest.mark.slow)],
)
def test_the_checkpoint_before_a_damaged_one_is_used(
    killed: KilledStudy,
    where: str,
    harm: Callable[[list[Path]], None],
    undisturbed: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    newest, before = killed.checkpoints[:2]
    harm(killed.files(newest.name, "mlruns"))
    if where == "here":
        harm(killed.files(newest.name, "home"))
    else:
        shutil.rmtree(killed.study.folder / "home")
    with caplog.at_level(logging.INFO):
        killed.work("home" if where == "here" else "elsewhere")
    assert f"the checkpoint at step {newest.step} cannot be used" in caplog.text
    assert f"(slot 0) from step {before.step}" in caplog.text
    check(killed, undisturbed)


def test_where_no_checkpoint_is_left_the_trial_begins_again(
    killed: KilledStudy, undisturbed: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = killed.checkpoints
    for location in ("home", "mlruns"):
        delete([file for ref in checkpoints for file in killed.files(ref.name, location)])
    with caplog.at_level(logging.INFO):
        killed.work()
    for ref in checkpoints:
        assert f"the checkpoint at step {ref.step} cannot be used" in caplog.text
    assert "no checkpoint can be read here, the trial starts again" in caplog.text
    assert "(slot 0) from step 0" in caplog.text
    check(killed, undisturbed)


def test_a_working_folder_that_was_moved_resumes_from_its_own_files(
    killed: KilledStudy, undisturbed: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    newest = killed.checkpoints[0]
    delete([file for ref in killed.checkpoints for file in killed.files(ref.name, "mlruns")])
    (killed.study.folder / "home").rename(killed.study.folder / "moved")
    with caplog.at_level(logging.INFO):
        killed.work("moved")
    assert f"(slot 0) from step {newest.step}" in caplog.text
    assert "fetching the checkpoint" not in caplog.text
    check(killed, undisturbed)


def check(killed: KilledStudy, undisturbed: Callable[..., Any]) -> None:
    """One trial, one run, and the curve of a training to which nothing happened."""
    (row,) = killed.study.rows()
    assert (row.outcome, row.published) == ("complete", True)
    (trial,) = optuna_study(killed.study.store, killed.study.handle).get_trials()
    expected = undisturbed(killed.study.spec, trial).returns
    assert trial.intermediate_values == expected
    (curves,) = killed.study.curves().values()
    assert curves["eval/return_mean"] == list(expected.items())
