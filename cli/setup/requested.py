"""Requested: the options that were typed, as the search understands them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.study.requested import Requested


def read_requested(
    task: str | None,
    profile: str | None,
    numbers: Mapping[str, int | None],
    env_steps: int | None,
    pairs: Sequence[str],
) -> "Requested":
    """The options as the search understands them. Raises ConfigError."""
    from omad_core.errors import ConfigError
    from search.study.requested import Requested, parse_settings

    train = parse_settings(list(pairs))
    if env_steps is not None:
        if "env_steps" in train:
            raise ConfigError("--env-steps and --set env_steps=... are the same setting; give one of them")
        train["env_steps"] = env_steps
    return Requested(task, profile, {name: n for name, n in numbers.items() if n is not None}, train)
