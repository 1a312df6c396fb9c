"""What `docs/results.md` says of HalfCheetah follows from the stored trainings."""

import pytest
from halfcheetah_tables import PARTS, trainings
from measured import page


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_the_page_has_what_the_trainings_say(part) -> None:
    for row in part(trainings()):
        assert row in page()
