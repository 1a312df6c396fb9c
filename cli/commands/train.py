"""omad-search train: one training, without a study."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import INTERRUPTED
from cli.options import Profile, Set, Task
from cli.show import numbers
from cli.show.console import out, say

if TYPE_CHECKING:
    from rich.status import Status

    from omad_core.config import TrainConfig
    from omad_core.events import Event
    from omad_core.policy import Policy

PROGRESS_SECONDS = 10.0


def train(
    task: Task,
    env_steps: Annotated[int | None, typer.Option("--env-steps", min=1, help="Environment steps.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Everything random follows from it.")] = 0,
    profile: Profile = None,
    set_: Set = [],  # noqa: B006 - typer reads it and never changes it
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda:N", help="Where to train.")] = "cpu",
    threads: Annotated[int, typer.Option("--threads", min=1, help="torch threads on the CPU.")] = 1,
    output: Annotated[
        Path | None, typer.Option("--out", help="Folder for the policy; without it, omad-TASK-seed-SEED.")
    ] = None,
) -> None:
    """Train once with the study's untuned settings (and --set), and save the policy. Nothing is recorded."""
    import torch

    from cli.process.policy_folder import reserve_folder, save_policy

    config = _config(task, env_steps, seed, profile, set_, device != "cpu")
    folder = output or Path(f"omad-{config.task.replace(':', '-')}-seed-{seed}")
    torch.set_num_threads(threads)
    with reserve_folder(folder):
        say(f"training {config.task}, seed {seed}, {config.env_steps:,} steps on {device}", stderr=True)
        try:
            policy = _train(config, device)
        except KeyboardInterrupt:
            say("stopped, nothing is saved; a study goes on where it stopped: omad-search run", stderr=True)
            raise typer.Exit(INTERRUPTED) from None
        saved = save_policy(policy, folder)
    if saved != folder:
        say(f"{folder} cannot be written to any more; the policy is saved in another folder", stderr=True)
    say(f"policy saved in {saved}")
    say(f"evaluate it: omad-search evaluate {saved}")


def _config(
    task: str, env_steps: int | None, seed: int, profile: str | None, pairs: list[str], has_gpu: bool
) -> "TrainConfig":
    from cli.setup.request import read_request
    from omad_core import settings
    from search.study import catalog

    spec = catalog.build(
        catalog.find(task), read_request(task, profile, {}, env_steps, pairs), has_gpu=has_gpu
    )
    return settings.replace(spec.config, {"seed": seed})


def _train(config: "TrainConfig", device: str) -> "Policy":
    """The policy at the end; progress is shown as it comes. Raises ConfigError where training diverged."""
    from omad_core.errors import OmadError
    from omad_core.events import Diverged
    from omad_core.policy import Policy
    from omad_core.training import train as training

    policy = diverged = None
    with out().status("compiling and filling the replay buffer") as status:
        shown = TrainingDisplay(config, status)
        for event in training(config, device):
            if isinstance(event, Policy):
                policy = event
                continue
            shown.tell(event)
            diverged = event if isinstance(event, Diverged) else diverged
    if diverged is not None or policy is None:
        what = f"{diverged.what} at step {diverged.env_steps:,}" if diverged else "no policy"
        raise OmadError(f"training diverged: {what}; lower the learning rates or change --seed")
    return policy


class TrainingDisplay:
    """Says how a training goes: a line an evaluation, and in between a status line or one every ten seconds."""

    def __init__(self, config: "TrainConfig", status: "Status") -> None:
        self._config, self._status = config, status
        self._began = self._spoke = time.monotonic()

    def tell(self, event: "Event") -> None:
        """One event of the training."""
        from omad_core.events import Evaluated, Progress, Warned

        match event:
            case Progress():
                self._progress(event.env_steps)
            case Evaluated():
                mean = sum(event.returns) / len(event.returns)
                self._line(f"step {self._steps(event.env_steps)}  return {numbers.score(mean)}")
            case Warned():
                say(event.message, stderr=True)

    def _progress(self, step: int) -> None:
        now = time.monotonic()
        rate = step / max(1e-9, now - self._began)
        text = f"step {self._steps(step)}  {numbers.rate(rate)} steps/s"
        self._status.update(text)
        if not out().is_terminal and now - self._spoke > PROGRESS_SECONDS:
            self._line(text)

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        self._status.console.print(
            f"{numbers.duration(self._spoke - self._began):>6}  {text}", soft_wrap=True
        )

    def _steps(self, step: int) -> str:
        return f"{step:,}/{self._config.env_steps:,}"
