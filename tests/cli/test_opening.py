"""Opening a study for `run`: created once, continued with what was typed then."""

from pathlib import Path

from cli.opening import build, open_for_running
from search.spec.given import Given
from search.storage.store import open_storage
from tracking.null import NullTracker


def test_a_study_of_a_study_file_is_continued_by_the_same_command(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('task = "hopper"\n')
    given = Given(task=str(file), profile="smoke")
    spec = build(given, None, has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        first = open_for_running(store, NullTracker(), spec, given)
        again = open_for_running(store, NullTracker(), spec, given)
    assert (first.handle.name, first.spec.task) == ("mine", "hopper")
    assert again.handle.study_id == first.handle.study_id
