"""Opening a study for `run`: created once, continued with what was typed then."""

from pathlib import Path

import pytest
from fake_tracker import FakeTracker

from cli.setup.creation import build, open_for_running
from search.errors import SpecConflict
from search.storage.store import open_storage
from search.study.request import StudyRequest


def test_a_study_of_a_study_file_is_continued_by_the_same_command(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('task = "hopper"\n')
    requested = StudyRequest(task=str(file), profile="smoke")
    spec = build(requested, None, has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        first = open_for_running(store, FakeTracker(), spec, requested)
        again = open_for_running(store, FakeTracker(), spec, requested)
        file.write_text('task = "hopper"\ntrials = 5\n')
        longer = open_for_running(store, FakeTracker(), build(requested, None, has_gpu=False), requested)
        file.write_text('task = "hopper"\ntrials = 5\n[train]\ngamma = 0.98\n')
        with pytest.raises(SpecConflict, match=r"gamma 0.98 \(the study has 0.99\)"):
            open_for_running(store, FakeTracker(), build(requested, None, has_gpu=False), requested)
        alone = open_for_running(store, FakeTracker(), spec, StudyRequest(task="hopper"))
    assert (first.handle.name, first.spec.task) == ("mine", "hopper")
    assert {each.handle.study_id for each in (again, longer, alone)} == {first.handle.study_id}
    assert (again.added, longer.added, alone.added) == (0, 3, 0)
