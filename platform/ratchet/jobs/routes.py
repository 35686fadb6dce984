"""HTTP for jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Body, Depends, Header, Query, Request, Response
from fastapi.concurrency import iterate_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from ratchet.auth import Reader, Writer, while_allowed
from ratchet.clients.ports import Clients
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, now, read_only
from ratchet.errors import FieldError, Forbidden, Invalid, NotFound, Unauthorized
from ratchet.idempotency import IdempotentSession
from ratchet.jobs import copies, live, service, stream
from ratchet.jobs.live import Subject
from ratchet.jobs.logfiles import Cursor
from ratchet.jobs.logfilter import LogFilter, LogLevel
from ratchet.jobs.schemas import JOB_FIELDS, TRIAL_FIELDS, JobView, LogView, MetricsView, PlanView, TrialView, WaitView
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.queue import explain
from ratchet.routing import Router
from ratchet.settings import Settings
from ratchet_pipelines.spec import JobSpec

router = Router(tags=["jobs"])
JOBS = "/projects/{project}/jobs"
MAX_CURSOR = 32_000
"""Characters; of a thousand sources it has less than twenty thousand."""


def _subject(project: str, job_id: str, principal: Reader, request: Request) -> Subject:
    """Read in a session of its own, which is closed before Ray or MLflow is asked."""
    with read_only(request.app.state.sessions) as session:
        return Subject.of(service.get(session, project, job_id), now(session))


JobSubject = Annotated[Subject, Depends(_subject)]
JobPage = Annotated[Page, Depends(listing(JOB_FIELDS))]
EXAMPLE = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer"}
SpecBody = Annotated[JobSpec, Body(title="JobSpec", examples=[EXAMPLE])]
TrialPage = Annotated[Page, Depends(listing(TRIAL_FIELDS))]


@router.post(JOBS, status_code=202)
def submit_job(
    project: str,
    spec: SpecBody,
    principal: Writer,
    session: IdempotentSession,
    request: Request,
    response: Response,
) -> JobView:
    """Put a job into the queue."""
    row = service.submit(session, project=project, spec=spec, actor=principal.actor)
    return _made(row, request, response)


@router.post(f"{JOBS}:plan")
def plan_job(project: str, spec: SpecBody, principal: Reader, session: ReadSession, request: Request) -> PlanView:
    """What the spec would do and Ray would be given, with all the checks of a submission and nothing started."""
    return service.plan(session, project=project, spec=spec, settings=_settings(request))


@router.get(JOBS)
def list_jobs(
    project: str,
    principal: Reader,
    session: ReadSession,
    page: JobPage,
    request: Request,
    status: Annotated[list[JobStatus] | None, Query()] = None,
    kind: Annotated[str | None, Query(max_length=20)] = None,
) -> PageOf[JobView]:
    """Newest first."""
    rows, following = service.list_jobs(session, project, page, status=status or (), kind=kind)
    return PageOf(items=[_view(row, request) for row in rows], next_page_token=following)


@router.get(f"{JOBS}/{{job_id}}")
def get_job(project: str, job_id: str, principal: Reader, session: ReadSession, request: Request) -> JobView:
    return _view(service.get(session, project, job_id), request)


@router.post(f"{JOBS}/{{job_id}}:cancel", status_code=202)
def cancel_job(
    project: str,
    job_id: str,
    principal: Writer,
    session: IdempotentSession,
    if_match: IfMatchHeader,
    request: Request,
) -> JobView:
    """Ask it to stop. It is `cancelling` until Ray has stopped it."""
    row = service.get(session, project, job_id)
    if_match.check(session, row, lambda: _view(row, request))
    return _view(service.cancel(session, row, actor=principal.actor), request)


@router.post(f"{JOBS}/{{job_id}}:clone", status_code=202)
def clone_job(
    project: str,
    job_id: str,
    principal: Writer,
    session: IdempotentSession,
    request: Request,
    response: Response,
    changes: Annotated[dict[str, Any] | None, Body()] = None,
) -> JobView:
    """Submit its spec anew, with a merge patch applied (RFC 7396: null removes a field, which then has its default)."""
    source = service.get(session, project, job_id)
    return _made(copies.clone(session, source, changes or {}, actor=principal.actor), request, response)


@router.post(f"{JOBS}/{{job_id}}:retry", status_code=202)
def retry_job(
    project: str, job_id: str, principal: Writer, session: IdempotentSession, request: Request, response: Response
) -> JobView:
    """Submit a job that failed or was cancelled anew: a new job, which goes on from the old one's last checkpoint."""
    source = service.get(session, project, job_id)
    return _made(copies.retry(session, source, actor=principal.actor), request, response)


@router.get(f"{JOBS}/{{job_id}}/wait")
def get_job_wait(project: str, job_id: str, principal: Reader, session: ReadSession, request: Request) -> WaitView:
    """Why it waits, for what, its place in the queue, and when it will start."""
    row = service.get(session, project, job_id)
    return explain.wait_of(session, row, request.app.state.outlooks)


@router.get(f"{JOBS}/{{job_id}}/metrics")
def get_job_metrics(subject: JobSubject, request: Request) -> MetricsView:
    """The curve of each metric."""
    return MetricsView(series=live.series(_clients(request), subject))


@router.get(f"{JOBS}/{{job_id}}/trials")
def list_job_trials(subject: JobSubject, page: TrialPage, request: Request) -> PageOf[TrialView]:
    """A sweep's trials, oldest first."""
    items, following = page.take_from(live.trials(_clients(request), subject))
    return PageOf(items=items, next_page_token=following)


def _log_filter(
    attempt: Annotated[int | None, Query(ge=1, le=1_000)] = None,
    source: Annotated[str | None, Query(pattern="^[a-z0-9-]{1,100}$", description="`driver`, `rank-0`, …")] = None,
    level: Annotated[LogLevel | None, Query(description="This grave or graver.")] = None,
    search: Annotated[str | None, Query(max_length=200, description="Text that an entry holds.")] = None,
    regex: Annotated[bool, Query(description="`search` is a regular expression, in RE2's syntax.")] = False,
) -> LogFilter:
    wanted = LogFilter(attempt, source, level, search, regex)
    wanted.check()
    return wanted


LogQuery = Annotated[LogFilter, Depends(_log_filter)]


@router.get(f"{JOBS}/{{job_id}}/logs")
def get_job_logs(
    subject: JobSubject,
    request: Request,
    wanted: LogQuery,
    cursor: Annotated[str, Query(max_length=MAX_CURSOR)] = "",
    limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
    tail: Annotated[bool, Query(description="Without a cursor: begin with the last entries.")] = False,
) -> LogView:
    """The log of its driver and of every worker, oldest entry first, as far as it is written.

    A page may hold fewer entries than there are (a search through much of a log takes several pages): go on with
    `cursor` until nothing comes.
    """
    try:
        position = Cursor.parse(cursor) if cursor else Cursor()
    except ValueError as error:
        fault = FieldError(pointer="/query/cursor", message=str(error), value=cursor[:200])
        raise Invalid("The cursor is not valid.", errors=[fault], hint="Take it as it was given.") from error
    return live.log(_clients(request), subject, position, wanted, limit, tail=tail)


@router.get(
    f"{JOBS}/{{job_id}}/logs:download",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The log as text."}},
)
def download_job_logs(subject: JobSubject, request: Request, wanted: LogQuery) -> StreamingResponse:
    """The whole log as a text file: time, level, attempt, source and text of each entry."""
    headers = {"Content-Disposition": f'attachment; filename="{subject.id}.log"'}
    text = iterate_in_threadpool(live.log_file(_clients(request), subject, wanted))
    return StreamingResponse(while_allowed(request, text), media_type="text/plain; charset=utf-8", headers=headers)


@router.get(f"{JOBS}/{{job_id}}/events", response_class=EventSourceResponse)
async def stream_job_events(
    project: str,
    subject: JobSubject,
    request: Request,
    wanted: LogQuery,
    last_event_id: Annotated[str | None, Header(max_length=MAX_CURSOR)] = None,
) -> AsyncIterator[ServerSentEvent]:
    """`job`, `metrics` and `log` events, until the job has ended, or who asks may no longer read it."""
    state = request.app.state

    def make() -> stream.Tail:
        return stream.Tail(state.sessions, state.clients, _settings(request).public, project, subject.id)

    async with state.tails.of(subject.id, make) as tail:
        events = stream.follow(tail, stream.cursor_of(last_event_id), wanted)
        with suppress(Unauthorized, Forbidden, NotFound):  # a reader who comes back is told which
            async for event in while_allowed(request, events):
                yield event


def _made(row: Job, request: Request, response: Response) -> JobView:
    response.headers["Location"] = f"/api/v1/projects/{row.project}/jobs/{row.id}"
    return _view(row, request)


def _view(row: Job, request: Request) -> JobView:
    return JobView.of(row, _settings(request).public)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _clients(request: Request) -> Clients:
    clients: Clients = request.app.state.clients
    return clients
