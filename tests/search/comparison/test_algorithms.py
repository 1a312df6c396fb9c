"""Which algorithms are compared: what is typed, and what it makes of a study."""

import pytest

from omad_core.algorithms import ALGORITHMS
from omad_core.errors import ConfigError
from search.comparison.algorithms import read_algorithms, requested_for
from search.comparison.work import Vacancy, neediest
from search.slots.studies import StudyHandle
from search.study import catalog
from search.study.request import StudyRequest


def test_names_are_read_in_their_order() -> None:
    assert read_algorithms(" gaussian, omad,") == ("gaussian", "omad")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("omad,gausian", "unknown algorithm 'gausian'; did you mean 'gaussian'"),
        ("omad", "names only omad: a comparison takes two at least"),
        (",", "names none"),
        ("omad,omad", "names omad twice"),
    ],
)
def test_what_is_no_comparison_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_algorithms(text)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_makes_a_study_that_does_not_search_it(name: str) -> None:
    requested = requested_for(name, StudyRequest(profile="smoke", train={"gamma": 0.9}))
    spec = catalog.build(catalog.find("hopper"), requested, has_gpu=False)
    assert spec.config.gamma == 0.9
    assert spec.config.algorithm == name
    assert not {"algorithm", "actor.kind"} & set(spec.space.paths)


@pytest.mark.parametrize(("path", "value"), [("algorithm", "omad"), ("actor.kind", "diffusion")])
def test_who_sets_the_algorithm_himself_is_refused(path: str, value: str) -> None:
    with pytest.raises(ConfigError, match="--algorithms says what is compared"):
        requested_for("omad", StudyRequest(train={path: value}))


def vacancy(name: str, free: int, held: int) -> Vacancy:
    return Vacancy(StudyHandle(name, 1, name, "{}", "running", 0.0), free, held, left_over=False, ended=False)


def chosen(*vacancies: Vacancy, turn: int = 0) -> str | None:
    found = neediest(vacancies, turn)
    return None if found is None else found.name


def test_workers_spread_over_the_studies_that_have_a_free_trial() -> None:
    assert chosen(vacancy("a", 3, 1), vacancy("b", 2, 0), vacancy("c", 0, 0)) == "b"
    assert [chosen(vacancy("a", 1, 0), vacancy("b", 1, 0), turn=turn) for turn in (0, 1, 2)] == [
        "a",
        "b",
        "a",
    ]
    assert chosen(vacancy("a", 0, 2), turn=5) is None
    assert chosen() is None
