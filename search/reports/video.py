"""Video: one episode of a policy, rendered by a process of its own.

MuJoCo chooses its graphics when it is imported, and a graphics driver that crashes takes its process along.
"""

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omad_core.envs import make_env
from omad_core.errors import OmadError
from omad_core.policy import Policy
from omad_core.rng.streams import Stream, env_seeds
from search.errors import CannotDraw
from search.reports.renderer import drawer, frames_per_second

log = logging.getLogger(__name__)

FORMATS = (".gif", ".mp4")
HOME = Path(__file__).parents[2]
"""Where this program's packages lie."""
PLATFORMS = ("egl", "osmesa")
PROCESS_SECONDS = 300.0
FRAME_RATE = 25.0
MOST_FRAMES = 150
COLOURS = 64


def render_video(policy: Path, out: Path, seed: int = 0, deterministic: bool = False) -> None:
    """Write a video of an episode that the policy in a folder plays. Raises CannotDraw with a sentence."""
    if out.suffix.lower() not in FORMATS:
        raise CannotDraw(f"{out} is neither a .gif nor a .mp4 file")
    if not out.resolve().parent.is_dir():
        raise CannotDraw(f"there is no folder {out.resolve().parent} to write {out.name} to")
    chosen = os.environ.get("MUJOCO_GL")
    reasons = []
    for platform in [chosen] if chosen else PLATFORMS:
        reason = _try(policy, out, seed, deterministic, platform)
        if not reason:
            return
        reasons.append(reason)
    raise CannotDraw(reasons[0])


def _try(policy: Path, out: Path, seed: int, deterministic: bool, platform: str) -> str:
    """Render on one platform of MuJoCo's; returns an empty string, or why it failed."""
    command = [sys.executable, "-P", "-m", "search.reports.video", str(policy), str(out), "--seed", str(seed)]
    command += ["--deterministic"] if deterministic else []
    # Ours first: a module of the user's own called search.py is not this package.
    path = [str(HOME), *filter(None, sys.path)]
    environment = {**os.environ, "MUJOCO_GL": platform, "PYTHONPATH": os.pathsep.join(path)}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROCESS_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"drawing took more than {PROCESS_SECONDS:.0f} seconds"
    last = next(reversed(done.stderr.strip().splitlines()), f"its process ended with {done.returncode}")
    return "" if done.returncode == 0 else last


def frames(policy: Policy, seed: int, deterministic: bool) -> Iterator[NDArray[np.uint8]]:
    """Frames of an episode, about 25 a second of simulated time, until it ends or `MOST_FRAMES` are made."""
    draw = drawer(policy.spec, policy.env)
    every = max(1, round(frames_per_second(policy.spec, policy.env) / FRAME_RATE))
    env = make_env(policy.spec.name, policy.env, 1)
    try:
        env.reset([0], env_seeds(seed, Stream.FINAL, 0, range(1)))
        for step in range(MOST_FRAMES * every):
            if step % every == 0:
                yield draw(env.save(0))
            answer = env.step(policy.squashed_at(env.observe()[0], seed, step, deterministic))
            if answer.terminated[0] or answer.truncated[0]:
                yield draw(env.save(0))
                return
    finally:
        env.close()


def write(pictures: Iterator[NDArray[np.uint8]], out: Path, rate: float) -> None:
    """Write frames to a video file. Raises CannotDraw."""
    if out.suffix.lower() == ".mp4":
        _write_mp4(pictures, out, rate)
        return
    images = [Image.fromarray(picture).quantize(COLOURS) for picture in pictures]
    images[0].save(out, save_all=True, append_images=images[1:], duration=round(1000 / rate), loop=0)


def _write_mp4(pictures: Iterator[NDArray[np.uint8]], out: Path, rate: float) -> None:
    import imageio

    try:
        writer: Any = imageio.get_writer(out, fps=rate)
        with writer:
            for picture in pictures:
                writer.append_data(picture)
    except (ImportError, ValueError) as error:
        raise CannotDraw(
            f"this machine cannot write {out.name}: name a .gif file, or `pip install imageio-ffmpeg`"
        ) from error


def main() -> int:
    """The rendering process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("policy", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deterministic", action="store_true")
    arguments = parser.parse_args()
    part = arguments.out.with_name(f".{os.getpid()}.{arguments.out.name}")
    try:
        policy = Policy.load(arguments.policy)
        rate = min(FRAME_RATE, frames_per_second(policy.spec, policy.env))
        write(frames(policy, arguments.seed, arguments.deterministic), part, rate)
        part.replace(arguments.out)
    except (CannotDraw, OmadError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        part.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
