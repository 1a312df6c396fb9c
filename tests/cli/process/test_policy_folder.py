"""A policy's folder is made and tried before the training; what cannot be saved there in the end is saved beside."""

import shutil
from pathlib import Path

import pytest

from cli.process.policy_folder import reserve_folder, save_policy
from omad_core.errors import ConfigError, OmadError


class Saved:
    """A policy that writes one file."""

    def save(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(2, "No such file or directory")
        (folder / "policy.json").write_text("{}")


def test_a_folder_is_there_before_the_training_and_stays_with_its_policy(tmp_path: Path) -> None:
    folder = tmp_path / "far" / "policy"
    with reserve_folder(folder):
        assert folder.is_dir()
        assert list(folder.iterdir()) == []
        assert save_policy(Saved(), folder) == folder
    assert (folder / "policy.json").exists()


def test_without_a_policy_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), reserve_folder(tmp_path / "far" / "policy"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["/proc/nowhere/p", "/dev/null", "/dev/null/p"])
def test_what_cannot_be_written_to_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="give another folder with --out"), reserve_folder(Path(folder)):
        raise AssertionError("nothing may be trained")


def test_files_are_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ConfigError, match="exists already"), reserve_folder(tmp_path):
        raise AssertionError("nothing may be trained")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_went_away_has_its_policy_beside(tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    with reserve_folder(folder):
        shutil.rmtree(folder)
        beside = save_policy(Saved(), folder)
    assert beside.parent == tmp_path
    assert beside.name.startswith("policy-")
    assert (beside / "policy.json").exists()


def test_where_nowhere_is_room_the_first_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(OmadError, match="nor beside it: No such file"):
        save_policy(Saved(), tmp_path / "gone")
