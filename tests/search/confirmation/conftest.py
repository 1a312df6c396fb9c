"""Studies whose trials have ended with given values, without any training."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ended_trials
import pytest

from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store
from search.study import catalog
from search.study.confirmation import Confirm
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec

NAMES = (f"confirmed-{n}" for n in itertools.count())
SPEC = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke"), has_gpu=False)

WISHED = Confirm(1, 3)


@pytest.fixture
def end_trials() -> Callable[..., None]:
    """Ends trials of a study with these values, in the order in which they are claimed."""
    return ended_trials.end_trials


@pytest.fixture
def spec() -> StudySpec:
    """Of a study of two short trials."""
    return SPEC


@pytest.fixture
def ended(store: Store) -> Callable[..., StudyHandle]:
    """Makes a study whose trials have ended with these values, the defaults first."""

    def make(
        values: Sequence[ended_trials.End | float], confirm: Confirm | None = WISHED, **more: Any
    ) -> StudyHandle:
        name = next(NAMES)
        spec = replace(SPEC, name=name, trials=len(values) or 2, confirm=confirm, **more)
        handle = create_study(store, name, spec.trials, spec.to_json(), [spec.defaults()])
        ended_trials.end_trials(store, handle, values)
        return handle

    return make
