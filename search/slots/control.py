"""Control: a study's own row, changed only while the study is in a state that allows it."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from search.errors import SpecConflict, StudyNotFound
from search.slots.lease import HERE, DesiredState
from search.storage.tables import Control


def change(
    connection: Connection, study_id: int, values: Mapping[str, Any], since: Collection[DesiredState] = HERE
) -> None:
    """One conditional UPDATE of the control row. Raises SpecConflict in other states than `since`, StudyNotFound."""
    mine = Control.study_id == study_id
    statement = update(Control).where(mine, Control.desired_state.in_(since)).values(dict(values))
    if connection.execute(statement).rowcount == 1:
        return
    state = connection.scalar(select(Control.desired_state).where(mine))
    if state is None:
        raise StudyNotFound(f"this storage has no study with id {study_id}")
    raise SpecConflict(
        f"the study is {state} now, as somebody wished at this moment: see `omad-search status`, then try again"
    )


def lock_row(connection: Connection, study_id: int) -> None:
    """Lock the study's row, so that no move begins before this transaction ends. Raises SpecConflict if one has."""
    change(connection, study_id, {"desired_state": Control.desired_state})
