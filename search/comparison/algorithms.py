"""Algorithms: which are to be compared, as they are typed."""

from dataclasses import replace

from omad_core import settings
from omad_core.algorithms import ALGORITHMS
from omad_core.errors import ConfigError
from search.study.request import StudyRequest

CHOICE = "algorithm"
"""The setting that makes a study one of an algorithm."""
SAYS_SO = (CHOICE, "actor.kind")


def read_algorithms(text: str) -> tuple[str, ...]:
    """The names in `omad,gaussian`, at least two, the one that others are compared with first. Raises ConfigError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ALGORITHMS:
            raise ConfigError(settings.unknown("algorithm", name, ALGORITHMS))
        if names.count(name) > 1:
            raise ConfigError(f"--algorithms names {name} twice")
    if len(names) < 2:
        named = f"only {names[0]}" if names else "none"
        raise ConfigError(
            f"--algorithms names {named}: a comparison takes two at least, such as --algorithms {','.join(ALGORITHMS)}"
        )
    return tuple(names)


def requested_for(algorithm: str, requested: StudyRequest) -> StudyRequest:
    """What was typed, for a study of one algorithm. Raises ConfigError where it names an algorithm itself."""
    for path in SAYS_SO:
        if path in requested.train:
            raise ConfigError(
                f"--set {path}=... cannot be given to a comparison: --algorithms says what is compared"
            )
    # What is confirmed, and with how many seeds, the comparison says and no study file.
    return replace(requested, train={**requested.train, CHOICE: algorithm}, confirm=False)
