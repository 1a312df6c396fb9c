"""Control: a study's own row, changed only while the study is in a state that allows it."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from search.errors import SpecConflict, StudyNotFound
from search.slots.lease import HERE, Wanted
from search.storage.tables import Control


def change(
    connection: Connection, study_id: int, values: Mapping[str, Any], since: Collection[Wanted] = HERE
) -> None:
    """One conditional UPDATE of the control row. Raises SpecConflict in other states than `since`, StudyNotFound."""
    mine = Control.study_id == study_id
    statement = update(Control).where(mine, Control.wanted.in_(since)).values(dict(values))
    if connection.execute(statement).rowcount == 1:
        return
    found = connection.scalar(select(Control.wanted).where(mine))
    if found is None:
        raise StudyNotFound(f"this storage has no study with id {study_id}")
    raise SpecConflict(
        f"the study is {found} now, as somebody wished at this moment: see `omad-search status`, then try again"
    )


def hold(connection: Connection, study_id: int) -> None:
    """Have no move begin before this transaction ends. Raises SpecConflict where one has."""
    change(connection, study_id, {"wanted": Control.wanted})
