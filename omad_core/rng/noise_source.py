"""Sources of a policy's noise: zeros, a generator that advances, or a seed that repeats it."""

from collections.abc import Callable

import torch
from torch import Tensor

from omad_core.errors import ConfigError

Source = Callable[[int, tuple[int, ...]], Tensor]
"""(index of the agent, shape) -> its noise. Agents are asked in the task's order."""


def noise_from(generator: torch.Generator | None, seed: int | None, deterministic: bool) -> Source:
    """What draws the noise of one call, never from torch's global generator. Raises ConfigError."""
    _check(generator, seed)
    if deterministic:
        return lambda agent, shape: torch.zeros(shape)
    if seed is not None:
        return lambda agent, shape: _of_seed(seed, agent, shape)
    source = generator or _unpredictable()
    return lambda agent, shape: torch.randn(shape, generator=source)


def _of_seed(seed: int, agent: int, shape: tuple[int, ...]) -> Tensor:
    """An agent's noise, whichever agents act: it follows as many numbers for each agent before it."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(agent):
        torch.randn(shape, generator=generator)
    return torch.randn(shape, generator=generator)


def _unpredictable() -> torch.Generator:
    """A generator seeded by the operating system."""
    generator = torch.Generator()
    generator.seed()
    return generator


def _check(generator: torch.Generator | None, seed: int | None) -> None:
    if generator is not None and seed is not None:
        raise ConfigError(f"both a generator and seed = {seed} were given; give one of them")
    if generator is not None and generator.device.type != "cpu":
        raise ConfigError(f"a policy acts on the CPU, the generator is on {generator.device}; make it there")
