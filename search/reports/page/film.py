"""Film: a few seconds of a policy as a picture that moves, small enough to lie within a page."""

import base64
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageSequence

from search.errors import CannotDraw
from search.reports.page.content import Film
from search.reports.plots import FOLDER, VIDEO
from search.reports.renderer import can_draw
from search.reports.video import render_video
from search.view.views import TrialView
from tracking.errors import ArtifactMissing, TrackingError
from tracking.tracker import Tracker

MOST_BYTES = 1_500_000
QUALITY, LEAST_QUALITY = 60, 20
OWN = "there is no film of an environment of your own"


def film_of(trial: TrialView, task: str, tracker: Tracker, runs: Sequence[str], name: str) -> Film:
    """The film that one of these runs has, or a new one of the trial's policy. Raises CannotDraw with a sentence."""
    with tempfile.TemporaryDirectory(prefix="omad-film-") as temporary:
        file = Path(temporary) / VIDEO
        try:
            if not _fetch(tracker, runs, file):
                _render(trial, task, tracker, file)
        except TrackingError as error:
            raise CannotDraw(f"the policy cannot be fetched: {error}") from error
        return packed(file, f"{name}, trial {trial.number}: one episode on {task}, its first seconds")


def _fetch(tracker: Tracker, runs: Sequence[str], file: Path) -> bool:
    for run in runs:
        try:
            tracker.download(run, f"{FOLDER}/{VIDEO}", file)
        except ArtifactMissing:
            continue
        return True
    return False


def _render(trial: TrialView, task: str, tracker: Tracker, file: Path) -> None:
    if not can_draw(task):
        raise CannotDraw(OWN)
    uri = tracker.model_of(trial.run_id) if trial.run_id else None
    if uri is None:
        raise CannotDraw(f"trial {trial.number} has no model to film")
    render_video(tracker.download_model(uri, file.parent / "model"), file)


def packed(file: Path, caption: str) -> Film:
    """A GIF as an animated WebP, a fifth of its size; frames are left out until it is small enough."""
    with Image.open(file) as picture:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
        each = int(picture.info.get("duration", 40))
    quality, step = QUALITY, 1
    while len(moving := _webp(frames[::step], each * step, quality)) > MOST_BYTES and step < len(frames):
        quality, step = max(LEAST_QUALITY, quality - 20), step * 2
    return Film(_address(moving), _address(_webp(frames[:1], 0, QUALITY)), caption)


def _webp(frames: Sequence[Image.Image], milliseconds: int, quality: int) -> bytes:
    made = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:], "duration": milliseconds, "loop": 0}
    frames[0].save(made, "WEBP", quality=quality, method=2, **(more if len(frames) > 1 else {}))
    return made.getvalue()


def _address(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
