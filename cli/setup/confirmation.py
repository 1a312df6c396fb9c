"""Confirmation: a study whose best is to be trained again, with the confirmation that this asks for."""

from cli.setup.creation import OpenedStudy
from omad_core import settings
from omad_core.errors import ConfigError
from search.confirmation.candidates import complete
from search.confirmation.creation import ensure, refuse_other_steps
from search.confirmation.pair import refuse_confirmation, refuse_taken, set_desired_state
from search.errors import SpecConflict
from search.recording.study_run import parent_info
from search.recording.tracking_store import ensure_recorded
from search.slots.studies import StudyHandle, open_study
from search.steering.commands import refuse_moved
from search.storage.store import Store
from search.study.confirmation import Confirm, confirmation_name
from search.study.study_spec import StudySpec
from search.view.wording import count
from tracking.tracker import Tracker


def open_for_confirming(
    store: Store, tracker: Tracker, study: str, top: int | None, seeds: int | None, env_steps: int | None
) -> OpenedStudy:
    """The study, running again, with a confirmation of as much as is asked for.

    Raises StudyNotFound, SpecConflict, ConfigError before anything is made, in MLflow neither.
    """
    handle, spec, wish = _checked(store, study, top, seeds, env_steps)
    tracker.check()
    handle = ensure_recorded(store, handle, tracker)
    set_desired_state(store, handle, "running")
    ensure(store, handle, wish, env_steps, by_hand=True)
    run_id = tracker.open_run(parent_info(spec, handle, store.address))
    tracker.resume_run(run_id)
    return OpenedStudy(handle, spec, run_id, created=False, added=0)


def _checked(
    store: Store, study: str, top: int | None, seeds: int | None, env_steps: int | None
) -> tuple[StudyHandle, StudySpec, Confirm]:
    """A study, its spec, and what is to be confirmed of it."""
    handle = open_study(store, study)
    refuse_confirmation(handle, "confirmed")
    refuse_moved(store, handle)
    confirmation_name(handle.name)
    refuse_taken(store, handle.name, handle.uid)
    spec = StudySpec.from_json(handle.spec)
    wish = _wish(spec, top, seeds)
    _refuse_more_than_there_are(store, handle, wish)
    _refuse_steps(spec, env_steps)
    refuse_other_steps(store, handle, env_steps)
    return handle, spec, wish


def _wish(spec: StudySpec, top: int | None, seeds: int | None) -> Confirm:
    """What is typed; else what the study says, or the defaults."""
    stored = spec.confirm or Confirm()
    return Confirm(top or stored.top, seeds or stored.seeds)


def _refuse_more_than_there_are(store: Store, handle: StudyHandle, wish: Confirm) -> None:
    number = len(complete(store, handle))
    if not number:
        raise SpecConflict(
            f"no trial of study {handle.name!r} has completed, so there is nothing to confirm yet"
        )
    if wish.top > number:
        raise SpecConflict(
            f"--top {wish.top}: of study {handle.name!r}, {count(number, 'trial')} completed; no more can be confirmed"
        )


def _refuse_steps(spec: StudySpec, env_steps: int | None) -> None:
    if env_steps is None:
        return
    settings.replace(spec.config, {"env_steps": env_steps})  # within its bounds
    if env_steps <= spec.config.random_steps:
        raise ConfigError(
            f"--env-steps {env_steps:,} leaves nothing to learn in: the first {spec.config.random_steps:,} steps are "
            "random"
        )
