"""Our tables, beside Optuna's in the same database: the version, a study's control, its slots."""

from typing import Any

from sqlalchemy import JSON, Boolean, Double, Index, Integer, String, Text
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 2
"""Version of these tables; grows when their shape changes."""

# MySQL's TEXT ends at 64 kB.
LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")


class Base(DeclarativeBase):
    """Declarative base of our own tables; Optuna's belong to Optuna."""


class Schema(Base):
    """One row: the version of our tables. Written last, so its presence means the database is complete."""

    __tablename__ = "omad_schema"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(Integer)


class Control(Base):
    """One row a study: what it was created with and what is wanted of its workers."""

    __tablename__ = "omad_control"

    study_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(512))
    uid: Mapped[str] = mapped_column(String(32))
    """Also a user attribute of the Optuna study: rows left behind by a deleted study do not match."""
    wanted: Mapped[str] = mapped_column(String(16))
    spec: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[float] = mapped_column(Double)
    tracking: Mapped[str | None] = mapped_column(LongText)
    """Address of the MLflow store that its runs are in, without a password, as whoever began it there wrote it."""
    tracking_run: Mapped[str | None] = mapped_column(String(64))
    """The study's own run there: this names the store, by whatever address a machine reaches it."""


class Slot(Base):
    """One row a unit of the budget, leased to one worker at a time."""

    __tablename__ = "omad_slot"
    __table_args__ = (Index("ix_omad_slot_state", "study_id", "state", "number"),)

    study_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(16))
    token: Mapped[int] = mapped_column(Integer)
    """Grows with every claim; writes that carry an older one are refused."""
    owner: Mapped[str | None] = mapped_column(String(255))
    expires_at: Mapped[float | None] = mapped_column(Double)
    """End of the lease on the database's clock; of a done slot, of the lease to publish it."""
    attempt: Mapped[int] = mapped_column(Integer)
    """Claims since the last newer checkpoint or voluntary release."""
    trial_id: Mapped[int | None] = mapped_column(Integer, unique=True)
    retry_of: Mapped[int | None] = mapped_column(Integer)
    """Failed trial whose parameters this slot is to try again."""
    checkpoints: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    mlflow_run_id: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[str | None] = mapped_column(String(16))
    value: Mapped[float | None] = mapped_column(Double)
    reason: Mapped[str | None] = mapped_column(LongText)
    published: Mapped[bool] = mapped_column(Boolean)
    progress: Mapped[dict[str, Any]] = mapped_column(JSON)
