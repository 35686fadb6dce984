"""The API. Read this first: what is mounted where, and what happens to every request.

/api/v1      the resources, a router for each domain
/mlflow      MLflow's UI and REST API, behind the same login
/healthz /readyz /metrics
/schemas     what a file for `ratchet apply` may hold
/            the dashboard
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError

from ratchet import (
    __version__,
    auth,
    dashboard,
    db,
    errors,
    health,
    housekeeping,
    idempotency,
    keys,
    logs,
    middleware,
    openapi,
    outages,
)
from ratchet.abtests import routes as abtests
from ratchet.audit import routes as audit
from ratchet.bundles import routes as bundles
from ratchet.clients import connect
from ratchet.clients.ports import Clients
from ratchet.documents import routes as documents
from ratchet.endpoints import routes as endpoints
from ratchet.identity import routes as identity
from ratchet.identity import tokens
from ratchet.identity.limits import Limits
from ratchet.identity.oidc import Provider
from ratchet.identity.principals import Principals
from ratchet.jobs import routes as jobs
from ratchet.jobs.service import ensure_cluster
from ratchet.jobs.stream import Tails
from ratchet.models import routes as models
from ratchet.monitors import routes as monitors
from ratchet.pipelines import routes as pipelines
from ratchet.projects import routes as projects
from ratchet.projects.service import ensure_default
from ratchet.queue import routes as queue
from ratchet.queue.explain import Outlooks
from ratchet.settings import Settings
from ratchet.tracking import routes as tracking
from ratchet.webhooks import routes as webhooks
from ratchet.webhooks.service import ensure_outbox, seal_old

ROUTERS: tuple[APIRouter, ...] = (  # asked one after the other: jobs, which are asked for most, come first
    jobs.router,
    identity.router,
    projects.router,
    bundles.router,
    queue.router,
    models.router,
    endpoints.router,
    abtests.router,
    monitors.router,
    pipelines.router,
    documents.router,
    audit.router,
    webhooks.router,
)

NOTE_EVERY_S = 60.0


def create_app(settings: Settings | None = None, clients: Clients | None = None) -> FastAPI:
    """The application. It opens no connection until it starts; `clients` are given by tests."""
    settings = settings or Settings()
    app = FastAPI(
        title="Ratchet",
        version=__version__,
        summary="Train, tune, track, deploy, compare, watch and retrain models.",
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        responses=openapi.PROBLEMS,
        telemetry={"auto_configure": True},
        docs_url="/docs",
        redoc_url=None,
    )
    engine = db.open_engine(settings.database)
    app.state.settings = settings
    app.state.engine = engine
    app.state.sessions = db.session_factory(engine)
    app.state.read_sessions = db.session_factory(engine, readonly=True)
    app.state.limits = Limits(settings)
    app.state.oidc = Provider(settings)
    app.state.principals = Principals(app.state.sessions, settings)
    app.state.one_at_a_time = CapacityLimiter(1)
    app.state.clients = clients or connect(settings)
    app.state.tails = Tails()
    app.state.outlooks = Outlooks(settings.max_concurrent_jobs)
    errors.install(app)
    outages.install(app)
    idempotency.install(app)
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1", dependencies=auth.bearer_security)
    app.include_router(documents.schemas)
    app.include_router(health.router)
    app.include_router(tracking.router)
    dashboard.mount(app, Path(__file__).parent / "static")
    middleware.install(app, settings)
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    logs.configure(settings.log_format)
    with app.state.sessions() as session:
        ensure_default(session)
        ensure_cluster(session)
        ensure_outbox(session)
        seal_old(session, settings)
        housekeeping.ensure(session)
        app.state.page_key = keys.ensure(session, keys.PAGE_TOKENS)
        if settings.bootstrap_token_file is not None:
            tokens.bootstrap(session, settings.bootstrap_token_file.read_text().strip())
        session.commit()
    async with tracking.upstream(app), _notes_of_use(app.state.principals):
        yield
    app.state.engine.dispose()


@asynccontextmanager
async def _notes_of_use(principals: Principals) -> AsyncIterator[None]:
    """Writes down once a minute, and at the end, which tokens were used."""

    async def note() -> None:
        while True:
            await asyncio.sleep(NOTE_EVERY_S)
            try:
                await run_in_threadpool(principals.note_use)
            except DBAPIError as error:  # of no weight: the next minute's uses are noted again
                logs.logger("app").warning("use_not_noted", error=str(error.orig))

    task = asyncio.create_task(note())
    try:
        yield
    finally:
        task.cancel()
        with suppress(DBAPIError):
            await run_in_threadpool(principals.note_use)


def _operation_id(route: APIRoute) -> str:
    """`list_jobs`: the function's name is the client's method."""
    return route.name
