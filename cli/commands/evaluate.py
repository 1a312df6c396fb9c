"""omad-search evaluate: how good a model is, on fresh episodes."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Json, Tracking
from cli.show import json_output, numbers
from cli.show.console import say

if TYPE_CHECKING:
    from omad_core.policy import Policy

POLICY_FILE = "policy.json"


def evaluate(
    model: Annotated[str, typer.Argument(help="models:/NAME@champion, or a folder of a policy or model.")],
    tracking: Tracking = None,
    episodes: Annotated[int, typer.Option("--episodes", min=1, max=100_000, help="Fresh episodes.")] = 50,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Without the noise of the diffusion chain.")
    ] = False,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Decides the episodes; the same for all models.")
    ] = 0,
    video: Annotated[
        Path | None,
        typer.Option(
            "--video", metavar="FILE", help="Video of the first seconds of an episode: .gif or .mp4."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Play whole episodes with a model: mean, interquartile mean, 95 % interval."""
    from omad_core.results.assessment import assess
    from omad_core.results.statistics import summarise

    policy = _load(model, tracking)
    if video is not None:
        _render_video(policy, video, seed, deterministic)
    assessment = assess(policy, episodes, seed, deterministic)
    summary = summarise(assessment.returns)
    if json:
        record = {
            "model": model,
            "task": policy.spec.name,
            "environment": policy.spec.env_id,
            "agent_obsk": policy.env.agent_obsk,
            "versions": policy.spec.versions,
            "deterministic": deterministic,
            "seed": seed,
            "video": str(video) if video else None,
            "summary": summary,
            "returns": assessment.returns,
            "lengths": assessment.lengths,
        }
        json_output.show(record)
        return
    how = "without the chain's noise" if deterministic else "sampled"
    mean_length = sum(assessment.lengths) / len(assessment.lengths)
    versions = ", ".join(f"{name} {version}" for name, version in policy.spec.versions.items())
    say(f"{policy.spec.name}: {episodes} fresh episodes of {policy.spec.env_id}, actions {how}")
    say(f"mean return          {numbers.score(summary.mean)}")
    say(f"95 % interval        {numbers.score(summary.low)} to {numbers.score(summary.high)}")
    say(f"interquartile mean   {numbers.score(summary.iqm)}")
    say(f"mean episode length  {mean_length:,.1f}")
    say(f"measured with        {versions}")
    if video is not None:
        say(f"video                {video}")


def _render_video(policy: "Policy", video: Path, seed: int, deterministic: bool) -> None:
    """Render an episode to a file. Raises CannotDraw."""
    from search.reports.video import render_video

    with tempfile.TemporaryDirectory(prefix="omad-video-") as folder:
        policy.save(folder)
        render_video(Path(folder), video, seed, deterministic)


def _load(model: str, tracking: str | None) -> "Policy":
    """A policy from MLflow or from a folder. Raises ConfigError, CheckpointError, TrackingError."""
    from omad_core.errors import ConfigError
    from omad_core.policy import Policy

    if model.startswith("models:/"):
        from tracking.mlflow.tracker import MlflowTracker

        with tempfile.TemporaryDirectory(prefix="omad-model-") as folder:
            return Policy.load(MlflowTracker(tracking).download_model(model, Path(folder)))
    folders = [path.parent for path in sorted(Path(model).rglob(POLICY_FILE))]
    if not folders:
        raise ConfigError(
            f"{model} is neither a folder with a {POLICY_FILE} nor an address such as models:/omad-hopper@champion"
        )
    if len(folders) > 1:
        raise ConfigError(f"{model} holds {len(folders)} policies; name one, such as {folders[0]}")
    return Policy.load(folders[0])
