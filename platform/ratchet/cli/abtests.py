"""`ratchet abtests`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import completion, output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.client import Client
    from ratchet.sdk.resources import ABTest

app = App("A/B tests: two variants compared on live traffic, valid however often one looks.")

TestId = Annotated[str, typer.Argument(metavar="ABTEST", help="The id or the name.", autocompletion=completion.abtests)]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for its decision.")]


@app.add("list", "ratchet abtests list")
def list_abtests(
    listed: Listing,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Of this endpoint alone.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="Of this status alone.")] = None,
) -> None:
    """List A/B tests."""
    with client() as ratchet:
        tests = list(ratchet.abtests.list(endpoint=endpoint, status=status, **vars(listed)))
    output.listing(
        tests,
        ["ABTEST", "NAME", "ENDPOINT", "COMPARES", "STATUS", "DECISION", "DIFFERENCE"],
        lambda one: [
            one.id,
            one.name,
            one.endpoint,
            f"{one.treatment} against {one.control}",
            output.status(one.status),
            output.status(one.decision),
            _interval(one),
        ],
        empty="No A/B tests yet. The first: ratchet abtests create NAME --endpoint E --control a --treatment b",
        limit=listed.limit,
    )


def _interval(test: ABTest) -> str:
    found = test.estimate
    if found is None or found.difference is None:
        return ""
    return f"{found.difference:+.4g} [{output.number(found.lower)}, {output.number(found.upper)}]"


@app.add("show", "ratchet abtests show ab-…")
def show(abtest: TestId) -> None:
    """Show a test: the difference, its interval, the sample-ratio check, and what was decided."""
    with client() as ratchet:
        found = ratchet.abtests.get(abtest)
    output.emit(found, lambda: show_abtest(found))


def show_abtest(test: ABTest) -> None:
    estimate, srm = test.estimate, test.srm
    confidence = f"{100 * (1 - estimate.alpha):g} %" if estimate and estimate.alpha else ""
    output.fields(
        [
            ("A/B test", f"{test.name} ({test.id})"),
            ("endpoint", test.endpoint),
            ("compares", f"{test.treatment} (treatment) against {test.control} (control)"),
            ("status", output.status(test.status)),
            ("decision", output.status(test.decision)),
            ("message", test.message),
            (f"difference ({confidence} interval)", _interval(test)),
            (
                "sample ratio",
                "" if srm is None else f"p = {output.number(srm.p_value)}{'  ALARM' if srm.alarm else ''}",
            ),
        ]
    )
    if estimate is not None:
        output.heading("Arms")
        arms = (("control", test.control), ("treatment", test.treatment))
        output.table(
            ["ARM", "VARIANT", ">UNITS", ">MEAN"],
            ([arm, name, estimate.units.get(arm), output.number(estimate.means.get(arm))] for arm, name in arms),
            empty="",
        )
    if test.looks:
        course = output.sparkline([look.get("difference") for look in test.looks])
        output.heading(f"{len(test.looks)} looks  {course}")


@app.add("create", "ratchet abtests create b-better --endpoint cancer --control a --treatment b --wait")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    endpoint: Annotated[str, typer.Option("--endpoint", "-e", help="Where both variants are.")],
    control: Annotated[str, typer.Option("--control", help="The variant to beat.")],
    treatment: Annotated[str, typer.Option("--treatment", help="The variant that may be better.")],
    metric: Annotated[
        str | None, typer.Option("--metric", help="accuracy, mean_outcome, absolute_error or squared_error.")
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="Chance of a wrong verdict, over all looks.")] = None,
    min_effect: Annotated[float | None, typer.Option("--min-effect", help="A smaller gain is not worth it.")] = None,
    min_units: Annotated[int | None, typer.Option("--min-units", help="Outcomes of each arm before a verdict.")] = None,
    max_units: Annotated[
        int | None, typer.Option("--max-units", help="Outcomes of both arms before it gives up.")
    ] = None,
    on_win: Annotated[str | None, typer.Option("--on-win", help="promote or none.")] = None,
    wait: Wait = False,
) -> None:
    """Compare two variants on the traffic of their endpoint."""
    settings: dict[str, Any] = {
        "metric": None if metric is None else {"kind": metric},
        "alpha": alpha,
        "min_effect": min_effect,
        "min_units": min_units,
        "max_units": max_units,
        "on_win": on_win,
    }
    spec = {
        "name": name,
        "endpoint": endpoint,
        "control": control,
        "treatment": treatment,
        **{key: value for key, value in settings.items() if value is not None},
    }
    with client() as ratchet:
        finish(ratchet, ratchet.abtests.create(spec), wait=wait)


@app.add("wait", "ratchet abtests wait ab-…")
def wait(abtest: TestId) -> None:
    """Wait until a test has decided."""
    with client() as ratchet:
        finish(ratchet, ratchet.abtests.get(abtest), wait=True)


def stay(ratchet: Client, test: ABTest, *, wait: bool) -> ABTest:
    """The test once it has decided, where that is to be waited for."""
    if not wait:
        return test
    return ratchet.abtests.wait(test, on_change=lambda now: output.say(f"[dim]{now.message or now.status}[/dim]"))


def finish(ratchet: Client, test: ABTest, *, wait: bool) -> None:
    test = stay(ratchet, test, wait=wait)
    output.emit(test, lambda: show_abtest(test))


@app.add("stop", "ratchet abtests stop ab-…")
def stop(abtest: TestId) -> None:
    """End a test without a verdict; the traffic stays as it is."""
    with client() as ratchet:
        stopped = ratchet.abtests.stop(abtest)
    output.emit(stopped, lambda: show_abtest(stopped))
