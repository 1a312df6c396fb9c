"""omad-search sync: what stayed on this machine goes to MLflow, and runs whose workers died get their true status."""

import typer

from cli import looking
from cli.console import say
from cli.errors import FAILURE
from cli.options import DEFAULT_STORAGE, Storage, StudyIfAny, Tracking


def sync(study: StudyIfAny = None, storage: Storage = DEFAULT_STORAGE, tracking: Tracking = None) -> None:
    """Send what workers left on this machine to MLflow, and correct the status of runs whose worker is gone."""
    from tracking.knock import knock

    knock(tracking)  # before the seconds that the imports below take
    from search.records.home import open_home
    from search.records.syncing import sync_runs
    from search.records.whereabouts import recorded_in
    from search.slots import budget
    from search.slots.steering import refuse_moved
    from search.worker.desk import Place
    from search.worker.worker import Worker
    from tracking.mlflow_tracker import MlflowTracker

    tracker, home = MlflowTracker(tracking), open_home()
    tracker.check()
    with looking.found(storage, study) as (store, handle):
        refuse_moved(store, handle)
        handle = recorded_in(store, handle, tracker)
        before = len(budget.unpublished(store, handle.study_id))
        done = sync_runs(store, handle, tracker, home)
        Worker(store, handle, tracker, Place(home)).catch_up()
        left = budget.unpublished(store, handle.study_id)
        sent = before - len(left)
    say(
        f"study {handle.name}: {done.rows} rows of curves sent, {sent} results published, "
        f"{done.repaired} runs given their true status"
    )
    if left:
        numbers = ", ".join(str(slot.number) for slot in left)
        say(
            f"not published yet: slots {numbers}; their workers may be at it, else run this where they ran",
            stderr=True,
        )
        raise typer.Exit(FAILURE)
