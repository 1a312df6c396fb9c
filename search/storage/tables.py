"""Our tables, beside Optuna's in the same database: the version, a study's control, its slots, what happened."""

from typing import Any

from optuna.storages._rdb.models import BaseModel, VersionInfoModel
from sqlalchemy import JSON, BigInteger, Boolean, Double, Engine, Index, Integer, String, Text, inspect
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 3
"""Version of these tables; grows when their shape changes."""
UPGRADED = (2,)
"""Earlier ones, which lack tables only: whoever opens one to write makes them; who only reads does without."""

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
    """One row a study: what it was created with, and the state its workers are to bring it to."""

    __tablename__ = "omad_control"

    study_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(512))
    uid: Mapped[str] = mapped_column(String(32))
    """Also a user attribute of the Optuna study: rows left behind by a deleted study do not match."""
    desired_state: Mapped[str] = mapped_column("wanted", String(16), key="desired_state")
    spec: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[float] = mapped_column(Double)
    tracking: Mapped[str | None] = mapped_column(LongText)
    """Address of the MLflow store that holds its runs, without a password, as given by the command that opened them."""
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


class AttemptRow(Base):
    """One row a claim of a slot to train it."""

    __tablename__ = "omad_attempt"

    study_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    token: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """Of the claim, as in the slot."""
    owner: Mapped[str] = mapped_column(String(255))
    began_at: Mapped[float] = mapped_column(Double)
    ended_at: Mapped[float | None] = mapped_column(Double)
    end: Mapped[str | None] = mapped_column("how", String(16), key="end")


class EvaluationRow(Base):
    """One row an evaluation of one training: of one seed of a trial."""

    __tablename__ = "omad_evaluation"
    __table_args__ = (Index("ix_omad_evaluation_study", "study_id"),)

    trial_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seed: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    study_id: Mapped[int] = mapped_column(Integer)
    returns: Mapped[list[float]] = mapped_column(JSON)
    seconds: Mapped[float | None] = mapped_column(Double)
    measured_at: Mapped[float] = mapped_column(Double)


def foreign_tables(engine: Engine) -> list[str]:
    """Tables that have names of Optuna's or ours and are another program's: columns are missing.

    Where Optuna's own version is there, its tables are its own, of whatever release.
    """
    inspector = inspect(engine)
    names = set(inspector.get_table_names())
    expected = {**Base.metadata.tables}
    if VersionInfoModel.__tablename__ not in names:
        expected |= BaseModel.metadata.tables
    return [
        name
        for name, table in sorted(expected.items())
        if name in names
        and not set(table.columns.keys()) <= {column["name"] for column in inspector.get_columns(name)}
    ]
