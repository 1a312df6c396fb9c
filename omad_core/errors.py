"""The tree of what this package raises on purpose, ordered by what a caller can do about it.

`envs.base.StepRaised` is of it too and stands beside the `Step` that it carries.
"""


class OmadError(Exception):
    """Something a person can read and act on; its text says what, where and what to try."""


class ConfigError(OmadError, ValueError):
    """A setting is unknown, out of range, or contradicts another one."""


class TaskError(OmadError):
    """A task cannot be found or built, or does not fit (discrete actions, no agents)."""


class CheckpointError(OmadError):
    """A checkpoint or policy folder is truncated, altered, foreign, or of a newer format."""


class EnvironmentFailed(OmadError):
    """An environment of a user's own raised something, its `__cause__`, or answered what its spaces do not allow."""


class NotFinite(EnvironmentFailed):
    """A reward, an observation or a state was nan, infinite, or beyond what float32 holds."""
