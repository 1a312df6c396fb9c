"""Comparisons of two tiny studies."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from search.comparison.algorithms import requested_for
from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store
from search.study import catalog
from search.study.comparison import Comparison, member_name
from search.study.confirmation import Confirm
from search.study.request import StudyRequest

NAMES = (f"compared-{n}" for n in itertools.count())
TINY = {"env_steps": 90, "random_steps": 60, "log_every_steps": 30, "evaluation.every_steps": 30}

Begun = Callable[..., tuple[str, list[StudyHandle]]]


@pytest.fixture
def begun() -> Begun:
    """Makes the studies of a comparison of omad and gaussian; its name, and the studies."""

    def make(store: Store, trials: int = 2, seeds: int = 2) -> tuple[str, list[StudyHandle]]:
        name, uid = next(NAMES), uuid.uuid4().hex
        studies = []
        for algorithm in ("omad", "gaussian"):
            asked = StudyRequest(profile="smoke", numbers={"trials": trials}, train=TINY)
            asked = requested_for(algorithm, asked)
            spec = catalog.build(
                catalog.find("simple_spread_n3"), asked, has_gpu=False, name=member_name(name, algorithm)
            )
            spec = replace(spec, comparison=Comparison(name, uid), confirm=Confirm(1, seeds))
            studies.append(create_study(store, spec.name, trials, spec.to_json(), [spec.defaults()]))
        return name, studies

    return make
