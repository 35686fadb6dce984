"""The API. Read this first: what is mounted where, and what happens to every request.

/api/v1      the resources, a router for each domain
/mlflow      MLflow's UI and REST API, behind the same login
/healthz /readyz /metrics
/            the dashboard
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from ratchet import __version__, auth, dashboard, db, errors, health, logs, middleware, mlflow_proxy
from ratchet.abtests import routes as abtests
from ratchet.audit import routes as audit
from ratchet.clients import connect
from ratchet.clients.ports import Clients
from ratchet.endpoints import routes as endpoints
from ratchet.jobs import routes as jobs
from ratchet.jobs.service import ensure_cluster
from ratchet.models import routes as models
from ratchet.monitors import routes as monitors
from ratchet.pipelines import routes as pipelines
from ratchet.projects import routes as projects
from ratchet.projects.service import ensure_default
from ratchet.settings import Settings

ROUTERS: tuple[APIRouter, ...] = (
    projects.router,
    jobs.router,
    models.router,
    endpoints.router,
    abtests.router,
    monitors.router,
    pipelines.router,
    audit.router,
)


def create_app(settings: Settings | None = None, clients: Clients | None = None) -> FastAPI:
    """The application. It opens no connection until it starts; `clients` are given by tests."""
    settings = settings or Settings()
    app = FastAPI(
        title="Ratchet",
        version=__version__,
        summary="Train, tune, track, deploy, compare, watch and retrain models.",
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        responses={"default": {"model": errors.Problem, "description": "Any error, as problem details (RFC 9457)."}},
        docs_url="/docs",
        redoc_url=None,
    )
    engine = db.open_engine(settings.database)
    app.state.settings = settings
    app.state.engine = engine
    app.state.sessions = db.session_factory(engine)
    app.state.read_sessions = db.session_factory(engine, readonly=True)
    app.state.clients = clients or connect(settings)
    errors.install(app)
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1", dependencies=auth.bearer_security)
    app.include_router(health.router)
    app.include_router(mlflow_proxy.router)
    dashboard.mount(app, Path(__file__).parent / "static")
    middleware.install(app, settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    logs.configure(settings.log_format)
    with app.state.sessions() as session:
        ensure_default(session)
        ensure_cluster(session)
        if settings.bootstrap_token_file is not None:
            auth.bootstrap(session, settings.bootstrap_token_file.read_text().strip())
        session.commit()
    async with mlflow_proxy.upstream(app):
        yield
    app.state.engine.dispose()


def _operation_id(route: APIRoute) -> str:
    """`list_jobs`: the function's name is the client's method."""
    return route.name
