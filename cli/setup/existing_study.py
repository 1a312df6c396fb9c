"""Existing study: the one that a storage has already, looked at before anything is made."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.study.request import StudyRequest
    from search.study.study_spec import StudySpec


def existing_spec(
    storage: str, name: str, requested: "StudyRequest", tracking: str | None, reuse: str | None = None
) -> "StudySpec | None":
    """The stored spec of a study; None where the storage has no such study. Nothing is made.

    Raises SpecConflict where it cannot be continued as requested: it was moved, has other settings, or is recorded in
    another MLflow store.
    """
    from cli.setup.creation import refuse_other_settings
    from search.confirmation.pair import refuse_confirmation
    from search.errors import StorageEmpty, StudyNotFound
    from search.slots.studies import open_study
    from search.steering.commands import refuse_moved
    from search.storage.store import look_into
    from search.study.study_spec import StudySpec

    try:
        with look_into(storage) as store:
            handle = open_study(store, name)
            refuse_confirmation(handle, "run")
            refuse_moved(store, handle)
    except (StorageEmpty, StudyNotFound):
        return None
    spec = StudySpec.from_json(handle.spec)
    refuse_other_settings(name, spec, requested)
    _refuse_other_reuse(name, spec, reuse)
    if handle.tracking_run is not None:
        _refuse_absent_store(name, str(handle.tracking), tracking)
    return spec


def require_study(storage: str, name: str | None) -> str:
    """The name of a study that exists, for a command that names no task. Raises ConfigError, StudyNotFound."""
    from omad_core.errors import ConfigError
    from search.errors import StorageEmpty, StudyNotFound
    from search.slots.studies import open_study
    from search.storage.store import look_into
    from search.study import catalog
    from tracking.redaction import redact

    if name is None:
        raise ConfigError("which task? Write --task hopper; `omad-search tasks` lists them all")
    try:
        with look_into(storage) as store:
            return open_study(store, name).name
    except StorageEmpty:
        missing = f"there is no study {name!r} to continue: storage {redact(storage)} holds none yet"
    except StudyNotFound as error:
        missing = str(error)
    task = name if name in catalog.list_shipped() else f"hopper --study {name}"
    raise StudyNotFound(
        f"{missing}. A new study needs its task: `omad-search run --task {task}` begins one, "
        "`omad-search tasks` lists them all"
    )


def _refuse_other_reuse(name: str, stored: "StudySpec", reuse: str | None) -> None:
    """Raise SpecConflict where a study was begun with another study's best, or with none."""
    from search.errors import SpecConflict

    begun = stored.origin.reuse if stored.origin else ""
    if reuse is not None and reuse != begun:
        with_what = f"the best of {begun!r}" if begun else "no other study"
        raise SpecConflict(
            f"study {name!r} exists, and was begun with {with_what}: leave "
            "--reuse out to continue it, or begin another one with `omad-search run --study NAME`"
        )


def _refuse_absent_store(name: str, recorded: str, tracking: str | None) -> None:
    """Raise SpecConflict where MLflow's database file, which a recorded study must be in, is yet to be made."""
    from search.errors import SpecConflict
    from tracking.mlflow import address as mlflow_address
    from tracking.redaction import redact

    path = mlflow_address.sqlite_path(mlflow_address.resolve(tracking))
    if path is not None and not path.exists():
        raise SpecConflict(
            f"study {name!r} is recorded in {recorded}, and {redact(str(path))} does not exist: give the address of "
            "the former with --tracking"
        )
