"""Attempts: a row for each claim of a slot to train it, written in the transactions that claim and release it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from search.storage.dbclock import now
from search.storage.reader import Reader
from search.storage.tables import AttemptRow

LOST = "lost"
"""How an attempt ended whose worker fell silent: at the end of its lease."""


@dataclass(frozen=True)
class Attempt:
    """A worker at a slot, from its claim to what became of it. Times in seconds since 1970, on the database's clock."""

    number: int
    """The slot's."""
    token: int
    """Grows with every claim of the slot."""
    owner: str
    """The worker, such as `host:4711`."""
    began_at: float
    ended_at: float | None
    """None while it trains, and of one whose slot nobody has claimed since its lease ran out."""
    end: str | None
    """The outcome of a trial that ended, else `released`, `raised` or `lost`."""


def begin(connection: Connection, study_id: int, number: int, token: int, owner: str) -> None:
    """Note a claim; what came before it at this slot has ended."""
    connection.execute(
        insert(AttemptRow).values(study_id=study_id, number=number, token=token, owner=owner, began_at=now())
    )


def end(
    connection: Connection, study_id: int, number: int, how: str, lease_ended: float | None = None
) -> None:
    """Note how the attempt at a slot ended, if one is open: now, or where its lease ended before."""
    at = now() if lease_ended is None else func.coalesce(lease_ended, now())
    here = (AttemptRow.study_id == study_id, AttemptRow.number == number, AttemptRow.ended_at.is_(None))
    connection.execute(update(AttemptRow).where(*here).values(ended_at=at, end=how))


def read(store: Reader, study_id: int) -> Sequence[Attempt]:
    """All attempts of a study, by slot and token; none of what was done before there were such rows."""
    names = [field.name for field in fields(Attempt)]
    query = select(*(AttemptRow.__table__.c[name] for name in names)).where(AttemptRow.study_id == study_id)
    with store.read() as connection:
        if not _is_there(connection):
            return []
        rows: Sequence[Any] = connection.execute(query.order_by(AttemptRow.number, AttemptRow.token)).all()
    return [Attempt(*row) for row in rows]


def _is_there(connection: Connection) -> bool:
    return bool(connection.dialect.has_table(connection, AttemptRow.__tablename__))
