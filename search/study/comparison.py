"""Comparison: which comparison of algorithms a study is part of, and how its parts are called."""

from dataclasses import dataclass

from omad_core.errors import ConfigError
from search.study.confirmation import LONGEST_NAME, SUFFIX

DEFAULT_SUFFIX = "-compare"
"""Of a comparison that was given no name: its task's, and this."""
LONGEST_ALGORITHM = 16
"""Letters that are kept free for an algorithm's name behind its comparison's."""


@dataclass(frozen=True)
class Comparison:
    """The comparison that a study belongs to."""

    name: str
    """Names the MLflow experiment, and the studies together with their algorithms."""
    uid: str
    """Distinguishes it from an earlier one of the same name, whose storage was deleted."""


def member_name(comparison: str, algorithm: str) -> str:
    """The name of one algorithm's study."""
    return f"{comparison}-{algorithm}"


def refuse_comparison_name(name: str) -> None:
    """Raise ConfigError for a name that leaves no room for those of its studies and of their confirmations."""
    longest = LONGEST_NAME - 1 - LONGEST_ALGORITHM
    if len(name) > longest or name.endswith(SUFFIX):
        raise ConfigError(
            f"{name!r} is no name for a comparison: use up to {longest} characters that do not end in {SUFFIX}, since "
            "the names of its algorithms' studies begin with it"
        )
