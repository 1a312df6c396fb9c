"""omad-search sync: what stayed on this machine goes to MLflow, and runs whose workers died get their true status."""

import typer

from cli.errors import FAILURE
from cli.options import DEFAULT_STORAGE, Storage, StudyIfAny, Tracking
from cli.setup import lookup
from cli.show import numbers
from cli.show.console import say


def sync(study: StudyIfAny = None, storage: Storage = DEFAULT_STORAGE, tracking: Tracking = None) -> None:
    """Send what workers left on this machine to MLflow, and correct the status of runs whose worker is gone."""
    from tracking.mlflow.probe import probe_server

    probe_server(tracking)  # before the seconds that the imports below take
    from search.checkpoints.workdir import open_workdir
    from search.confirmation.pair import pair
    from search.recording.sync import sync_runs
    from search.recording.tracking_store import ensure_recorded
    from search.slots import budget
    from search.steering.commands import refuse_moved
    from search.worker.context import WorkerLocation
    from search.worker.worker import Worker
    from tracking.mlflow.tracker import MlflowTracker

    tracker, workdir = MlflowTracker(tracking), open_workdir()
    unpublished: list[str] = []
    tracker.check()
    with lookup.open_study_for_reading(storage, study) as (store, handle):
        refuse_moved(store, handle)
        for each in pair(store, handle):
            recorded = ensure_recorded(store, each, tracker)
            before = len(budget.unpublished(store, recorded.study_id))
            done = sync_runs(store, recorded, tracker, workdir)
            Worker(store, recorded, tracker, WorkerLocation(workdir)).catch_up()
            left = budget.unpublished(store, recorded.study_id)
            say(
                f"study {recorded.name}: {numbers.count(done.rows, 'row')} of curves sent, "
                f"{numbers.count(before - len(left), 'result')} published, "
                f"{numbers.count(done.repaired, 'run')} given the true status"
            )
            if left:
                unpublished.append(f"{', '.join(str(slot.number) for slot in left)} of {recorded.name}")
    if unpublished:
        say(
            f"not published yet: slots {' and '.join(unpublished)}; their workers may be at it, "
            "else run this where they ran",
            stderr=True,
        )
        raise typer.Exit(FAILURE)
