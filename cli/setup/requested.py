"""Wishes: what was typed as options, as the search understands it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.spec.given import Given


def given(
    task: str | None,
    profile: str | None,
    numbers: Mapping[str, int | None],
    env_steps: int | None,
    pairs: Sequence[str],
) -> "Given":
    """What a person asked for explicitly. Raises ConfigError."""
    from omad_core.errors import ConfigError
    from search.spec.given import Given, parse_settings

    train = parse_settings(list(pairs))
    if env_steps is not None:
        if "env_steps" in train:
            raise ConfigError("--env-steps and --set env_steps=... are the same setting; give one of them")
        train["env_steps"] = env_steps
    return Given(task, profile, {name: n for name, n in numbers.items() if n is not None}, train)
