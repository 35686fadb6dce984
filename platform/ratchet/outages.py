"""What a request is answered when the database or the storage can't do its part: when to come again, never a 500.

Everything that was not committed is undone by the database itself, so trying again is always safe.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, TimeoutError

from ratchet.clients.ports import EngineFull, EngineUnavailable
from ratchet.errors import Conflict, Invalid, OutOfSpace, RatchetError, Unavailable, problem
from ratchet.logs import logger

FULL = {"SQLITE_FULL", "53100"}
READ_ONLY = ("SQLITE_READONLY", "25006")
NO_SCHEMA = {"42P01", "42703"}
"""Postgres: no such table, no such column. SQLite says so in words alone."""
NOT_STORABLE = "22"
"""Postgres' class of values that it can't hold: a NUL in a text, a number out of range."""
TAKEN = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_FOREIGNKEY", "23505", "23503"}
AGAIN = "Try again in a few seconds."


def install(app: FastAPI) -> None:
    app.add_exception_handler(SQLAlchemyError, _answer_database)
    app.add_exception_handler(EngineUnavailable, _answer_engine)


def told(error: SQLAlchemyError) -> RatchetError:
    """What a client is told of an error of the database."""
    code, said = _code(error), str(getattr(error, "orig", error))
    if code in FULL:
        return OutOfSpace("The database has no space left.", hint="Nothing was written. Make room on its disk.")
    if code.startswith(READ_ONLY):
        return Unavailable("The database is read-only at present.", hint="Nothing was written. Reading goes on.")
    if code in NO_SCHEMA or "no such table" in said or "no such column" in said:
        return Unavailable("The database's schema is not of this version.", hint="Run `python -m ratchet.migrate`.")
    if isinstance(error, DataError) or (code.startswith(NOT_STORABLE) and len(code) == 5):  # psycopg's own has no code
        return Invalid("A value in the request is none that can be stored.", hint="Is there a NUL in it?")
    if isinstance(error, IntegrityError) and "idempotency_keys" in said:
        return Conflict("A request with this Idempotency-Key is under way.", code="in_flight", hint="Send it again.")
    if isinstance(error, IntegrityError) and code in TAKEN:
        return Conflict("Somebody else changed the same at this moment.", hint="Look at it as it is now.")
    if isinstance(error, IntegrityError):
        return RatchetError("The request failed unexpectedly.", hint="The log has the cause under this request id.")
    if isinstance(error, DBAPIError | TimeoutError):
        return Unavailable("The database did not answer in time.", hint=AGAIN)
    return RatchetError("The request failed unexpectedly.", hint="The log has the cause under this request id.")


def _code(error: SQLAlchemyError) -> str:
    """SQLite's name of the error or Postgres' five characters; empty when it has none."""
    orig = getattr(error, "orig", None)
    return str(getattr(orig, "sqlite_errorname", None) or getattr(orig, "sqlstate", None) or "")


async def _answer_database(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SQLAlchemyError)
    answer = told(error)
    if answer.status == 500:
        logger("errors").error("unexpected_error", path=request.url.path, exc_info=error)
    else:
        logger("errors").warning("database_error", error=str(getattr(error, "orig", error)), path=request.url.path)
    return problem(request, answer)


async def _answer_engine(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EngineUnavailable)
    logger("errors").warning("engine_error", engine=error.engine, error=error.message, path=request.url.path)
    if isinstance(error, EngineFull):
        return problem(request, OutOfSpace(f"No space is left on the {error.engine}.", hint="Nothing was kept of it."))
    return problem(request, Unavailable(error.message, hint=AGAIN))
