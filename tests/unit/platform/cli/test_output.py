"""How things are shown."""

from __future__ import annotations

import pytest

from ratchet.cli import names, output
from ratchet.cli.errors import UsageError
from ratchet.cli.follow import View
from ratchet.sdk.jobs import Update
from ratchet.sdk.resources import Job


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([None, float("nan")], ""),
        ([1.0], "▁"),
        ([1.0, 1.0], "▁▁"),
        ([0.0, 1.0], "▁█"),
        ([7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], "█▇▆▅▄▃▂▁"),
    ],
)
def test_a_sparkline_spans_its_values(values: list[float | None], line: str) -> None:
    assert output.sparkline(values) == line


def test_a_long_series_is_averaged_to_the_width() -> None:
    assert output.sparkline([0.0] * 500 + [1.0] * 500, width=4) == "▁▁██"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (65, "1 min 5 s"), (3 * 3600 + 60, "3 h 1 min"), (90_000, "1 d 1 h")]
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_the_view_keeps_the_newest_value_of_each_step_and_whole_lines() -> None:
    view = View(Job(id="job-1", status="running"))
    for value in (1.0, 2.0):  # a stream that is taken up again sends its points again
        points = [{"step": 0, "value": value}]
        view.take(Update("metrics", {"series": [{"name": "loss", "points": points}]}, "1"))
    assert view.series == {"loss": {0: 2.0}}
    assert view.take(Update("log", {"entries": [{"text": "one"}, {"text": "two\n  and more"}]}, "2")) == [
        "one",
        "two",
        "  and more",
    ]


def test_the_view_can_be_drawn_at_every_moment() -> None:
    from rich.console import Console

    view, console = (
        View(Job(id="job-1", status="running", message="[not markup]")),
        Console(width=80, record=True, quiet=True),
    )
    view.take(Update("metrics", {"series": [{"name": "loss", "points": [{"step": 0, "value": None}]}]}, "1"))
    view.take(Update("log", {"entries": [{"text": "[red]not markup"}]}, "2"))
    console.quiet = False
    with console.capture() as captured:
        console.print(view)
    assert "[not markup]" in captured.get()
    assert "[red]not markup" in captured.get()


@pytest.mark.parametrize("text", ["a", "a=bc", "a=bc:1@x", "a=bc:1@2", "a=bc:1@-0.1", "=bc:1"])
def test_what_is_no_variant_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        names.variants([text])


def test_variants_without_weights_share_evenly() -> None:
    assert [one["weight"] for one in names.variants(["a=m:1", "b=m:2"])] == [0.5, 0.5]


def test_weights_are_given_to_all_or_none() -> None:
    with pytest.raises(UsageError, match="every variant"):
        names.variants(["a=m:1@0.5", "b=m:2"])


@pytest.mark.parametrize("text", ["bc", "bc:", ":1", "bc:0", "bc:x"])
def test_what_is_no_version_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        names.model_version(text)
