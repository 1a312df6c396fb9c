"""Renderer: one of an environment's saved states as an array of pixels [H, W, 3]."""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from omad_core.config import EnvConfig
from omad_core.envs.base import EnvState
from omad_core.envs.catalog import find
from omad_core.task import TaskSpec
from search.errors import CannotDraw

log = logging.getLogger(__name__)

WIDTH, HEIGHT = 320, 240
PLANE = 1.5
"""Half the side of the part of MPE's plane that is shown."""
COLOURS = {"agent": "#2563a8", "scripted": "#b3261e", "landmark": "#9aa0a6", "goal": "#2e7d32"}
AGENT_PIXELS, LANDMARK_PIXELS = 12, 7

Draw = Callable[[EnvState], NDArray[np.uint8]]


def can_draw(task: str) -> bool:
    """Whether there is a way to draw a task at all; machines may lack what it needs."""
    return ":" not in task


def drawer(spec: TaskSpec, env: EnvConfig) -> Draw:
    """The function that draws the states which an environment of this task saves. Raises CannotDraw."""
    return _plane(spec) if _kind(spec) == "mpe" else _bodies(spec, env)


def frames_per_second(spec: TaskSpec, env: EnvConfig) -> float:
    """Environment steps of one simulated second; of MPE, which has no such thing, those that look well.

    Raises CannotDraw.
    """
    if _kind(spec) == "mpe":
        return 8.0
    from omad_core.envs.mujoco import bodies

    return 1.0 / float(bodies.read(find(spec.name), env.agent_obsk, env.args)[1].dt)


def _kind(spec: TaskSpec) -> str:
    if not can_draw(spec.name):
        raise CannotDraw(f"{spec.name} is an environment of your own: films are drawn of built-in tasks only")
    return find(spec.name).kind


def _bodies(spec: TaskSpec, env: EnvConfig) -> Draw:
    """MuJoCo's offscreen renderer, with the camera that follows the body."""
    import mujoco

    from omad_core.envs.mujoco import bodies
    from omad_core.envs.mujoco.env import PHYSICS

    model = bodies.read(find(spec.name), env.agent_obsk, env.args)[1].model
    data = mujoco.MjData(model)
    try:
        renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    except (RuntimeError, AttributeError, ImportError, mujoco.FatalError) as error:
        raise CannotDraw(f"MuJoCo cannot draw on this machine: {error}") from error
    camera = "track" if any(model.camera(n).name == "track" for n in range(model.ncam)) else -1

    def draw(state: EnvState) -> NDArray[np.uint8]:
        mujoco.mj_setState(model, data, state["physics"], PHYSICS)
        mujoco.mj_forward(model, data)
        renderer.update_scene(data, camera)
        return np.asarray(renderer.render(), np.uint8).copy()

    return draw


def _plane(spec: TaskSpec) -> Draw:
    """Discs on a plane: agents, landmarks, the goal among them, the scripted adversary."""

    def draw(state: EnvState) -> NDArray[np.uint8]:
        picture = Image.new("RGB", (HEIGHT, HEIGHT), "white")
        pen = ImageDraw.Draw(picture)
        scripted = len(state["position"]) - spec.num_agents
        for number, location in enumerate(state["landmarks"]):
            is_goal = scripted and number == int(state["goal"])
            _disc(pen, location, LANDMARK_PIXELS, COLOURS["goal" if is_goal else "landmark"])
        for number, location in enumerate(state["position"]):
            _disc(pen, location, AGENT_PIXELS, COLOURS["scripted" if number < scripted else "agent"])
        return np.asarray(picture, np.uint8)

    return draw


def _disc(pen: ImageDraw.ImageDraw, location: NDArray[np.generic], radius: int, colour: str) -> None:
    x, y = (np.asarray(location, np.float64) * (1, -1) / PLANE + 1.0) * HEIGHT / 2
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
