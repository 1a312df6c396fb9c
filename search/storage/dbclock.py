"""The database's clock: the only one that leases know, so that no worker's clock matters."""

from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class now(FunctionElement[float]):
    """Seconds since 1970 (UTC) on the database's clock, when the statement runs."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgresql(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    return "CAST(extract(epoch from clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(now, "mysql", "mariadb")
def _mysql(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    # Not unix_timestamp(now(6)): that goes through the session's time zone and repeats an hour in autumn.
    return "(timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1000000e0)"
