"""Reader: what a function that only reads asks of a storage, and a storage as it stood at one moment."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection


class Reader(Protocol):
    """A storage, or a snapshot of one."""

    @property
    def address(self) -> str:
        """The URL as it may be shown."""

    def read(self) -> AbstractContextManager[Connection]:
        """One transaction that only reads, all of it at one moment."""

    def snapshot(self) -> AbstractContextManager["Snapshot"]:
        """The storage at one moment, for several reading functions whose answers must agree."""


@dataclass(frozen=True)
class Snapshot:
    """A storage at one moment: all reads through it are consistent, whatever workers write in between."""

    address: str
    _connection: Connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """The snapshot's own transaction."""
        yield self._connection

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """This snapshot."""
        yield self
