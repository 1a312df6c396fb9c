"""Looking at a study: opens its storage, finds it, reads it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.storage import Store
    from search.study import StudyHandle
    from search.view import StudyView

MLFLOW_DEFAULT = "sqlite:///mlflow.db"


@contextmanager
def found(storage: str, study: str | None) -> "Iterator[tuple[Store, StudyHandle]]":
    """The storage and the study of this name, or the only one there is. Raises StudyNotFound."""
    from search.errors import StudyNotFound
    from search.storage import open_storage
    from search.study import list_studies, open_study

    with open_storage(storage) as store:
        if study is not None:
            yield store, open_study(store, study)
            return
        studies = list_studies(store)
        if len(studies) != 1:
            names = ", ".join(handle.name for handle in studies) or "none"
            raise StudyNotFound(f"which study? Storage {store.address} has: {names}")
        yield store, studies[0]


def view(storage: str, study: str | None, tracking: str | None) -> "StudyView":
    """The study as it stands now."""
    from search import status

    with found(storage, study) as (store, handle):
        return status.read(store, handle, shown(tracking))


def shown(tracking: str | None) -> str:
    """The tracking address as it may be shown."""
    from tracking.redact import redact

    return redact(tracking or MLFLOW_DEFAULT)
