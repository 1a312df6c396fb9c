"""The comparison's own run in MLflow: parent of its studies' runs, with the table, the figure and what they show."""

import json
import logging
import tempfile
import time
from pathlib import Path

from search.comparison import figure, sentences, tables
from search.comparison.view import ComparisonView
from search.study.comparison import Comparison
from search.study.study_spec import StudySpec
from tracking.row import Row
from tracking.tracker import RunInfo, Tracker

log = logging.getLogger(__name__)

PAGE, NUMBERS, PICTURE = "comparison.md", "comparison.json", tables.FIGURE
MOST_LETTERS = 4_500
"""MLflow's tags end at 5,000; a longer table is left to the page."""


def comparison_info(spec: StudySpec, comparison: Comparison, storage: str) -> RunInfo:
    """The run as it is opened; `spec`: of any of the studies, `storage`: its address without a password."""
    return RunInfo(
        name=comparison.name,
        study=comparison.name,
        study_id=comparison.uid,
        params={
            "comparison/task": spec.task,
            "comparison/profile": spec.profile,
            "comparison/env_steps": spec.config.env_steps,
            "comparison/sampler": spec.sampler.name,
            "comparison/pruner": spec.pruner.name,
            "comparison/study_seed": spec.seed,
        },
        tags={
            "omad.kind": "comparison",
            "omad.task": spec.task,
            "omad.profile": spec.profile,
            "omad.storage": storage,
            "mlflow.source.name": "omad-search",
            "mlflow.source.type": "LOCAL",
        },
    )


def record(comparison: ComparisonView, tracker: Tracker, info: RunInfo) -> str:
    """Store sentences, table, figure and numbers; end the run once nothing is left to train. Its id.

    Raises TrackingUnavailable.
    """
    run_id = tracker.open_run(info)
    with tempfile.TemporaryDirectory(prefix="omad-comparison-") as temporary:
        folder = Path(temporary)
        tracker.upload(run_id, write(comparison, folder / PAGE))
    tracker.set_tags(run_id, _tags(comparison))
    tracker.log_rows(run_id, _rows(comparison))
    if comparison.ended:
        tracker.end_run(run_id, "finished")
    return run_id


def write(comparison: ComparisonView, page: Path) -> dict[str, Path]:
    """The page, with its figure and numbers beside it; name as an artifact to file."""
    picture, numbers = page.with_suffix(".png"), page.with_suffix(".json")
    page.parent.mkdir(parents=True, exist_ok=True)
    figure.draw(comparison, picture)
    page.write_text(tables.markdown(comparison, picture.name), encoding="utf-8")
    numbers.write_text(json.dumps(tables.document(comparison), indent=1) + "\n", encoding="utf-8")
    return {PAGE: page, NUMBERS: numbers, PICTURE: picture}


def _tags(comparison: ComparisonView) -> dict[str, str]:
    """The note is what the run's page shows on top."""
    said = sentences.shown(comparison)
    page = tables.markdown(comparison, figure="").partition("\n## ")[0]
    return {
        "omad.compared": said,
        "omad.algorithms": ",".join(algorithm.name for algorithm in comparison.algorithms),
        "mlflow.note.content": page
        if len(page) <= MOST_LETTERS
        else f"{said}\n\n{sentences.not_shown(comparison)}",
    }


def _rows(comparison: ComparisonView) -> list[Row]:
    """Interquartile means by algorithm, so that MLflow's tables and charts have them; the step is the seeds' number."""
    points = {
        f"{kind}/{algorithm.name}": setting.candidate.estimate.point
        for algorithm in comparison.algorithms
        for kind, setting in (("tuned", algorithm.tuned), ("untuned", algorithm.untuned))
        if setting is not None and setting.candidate.estimate is not None
    }
    return [Row(len(comparison.seeds), int(time.time() * 1000), points)] if points else []
