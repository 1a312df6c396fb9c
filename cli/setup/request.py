"""Request: the options that were typed, as the search understands them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.study.request import StudyRequest


def read_request(
    task: str | None,
    profile: str | None,
    numbers: Mapping[str, int | None],
    env_steps: int | None,
    pairs: Sequence[str],
) -> "StudyRequest":
    """The options as the search understands them. Raises ConfigError."""
    from omad_core.errors import ConfigError
    from search.study.request import StudyRequest, parse_settings

    train = parse_settings(list(pairs))
    if env_steps is not None:
        if "env_steps" in train:
            raise ConfigError("--env-steps and --set env_steps=... are the same setting; give one of them")
        train["env_steps"] = env_steps
    return StudyRequest(task, profile, {name: n for name, n in numbers.items() if n is not None}, train)
