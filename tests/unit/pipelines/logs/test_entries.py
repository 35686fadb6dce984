"""Lines to entries: levels, tracebacks, and what a terminal would obey."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet_pipelines.logs.entries import Entry, Line, cleaned, grouped, level_of, of_text, parse


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("Epoch 1 of 3: loss 0.5", "info"),
        ("2026-01-01 10:00:00,123 WARNING ray.worker: slow", "warning"),
        ("[2026-01-01 10:00:00] ERROR: no", "error"),
        ("DEBUG:root:x", "debug"),
        ('{"level": "fatal", "msg": "x"}', "error"),
        ('{"severity":"WARN"}', "warning"),
        ("E0102 10:11:12.1 file.cc:12] no", "error"),
        ("[W 10:11:12] warned", "warning"),
        ("/a/b.py:3: UserWarning: old", "warning"),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory", "error"),
        ("(RayTrainWorker pid=12, ip=10.0.0.1) ValueError: bad", "error"),
        ("no errors were found", "info"),
    ],
)
def test_levels(line: str, level: str) -> None:
    assert level_of(line) == level


def chained() -> str:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError:
        return traceback.format_exc()


@pytest.mark.parametrize("prefix", ["", "(worker pid=7) "])
def test_a_traceback_with_what_caused_it_is_one_entry(prefix: str) -> None:
    body = "".join(f"{prefix}{line}\n" for line in chained().splitlines())
    text = f"before\n{body}after\n"
    entries = list(of_text(text, 0.0))
    assert [entry.level for entry in entries] == ["info", "error", "info"]
    assert "KeyError: 'first'" in entries[1].text
    assert "ValueError: second" in entries[1].text
    assert [entry.text for entry in (entries[0], entries[2])] == ["before", "after"]


def test_two_tracebacks_that_have_nothing_to_do_with_each_other_are_two() -> None:
    one = "Traceback (most recent call last):\n  File a\nValueError: a\n"
    assert [entry.text for entry in of_text(one + "on\n" + one, 0.0) if entry.level == "error"] == [one.strip()] * 2


@given(st.lists(st.sampled_from(["x", "", "  in", "Traceback (most recent call last):", "ValueError: y"]), max_size=20))
def test_no_line_is_lost_and_numbers_go_on(texts: list[str]) -> None:
    entries = list(grouped(Line(number, 0.0, text) for number, text in enumerate(texts)))
    assert [line for entry in entries for line in entry.text.split("\n")] == texts
    assert [entry.number for entry in entries[1:]] == [entry.following for entry in entries[:-1]]


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    assert cleaned("\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07 \x9b31m tab\there\x00") == "red bell 31m tab\there"
    assert cleaned("10%\r20%\r100%\r") == "100%"
    assert cleaned("x" * 20_000).endswith("characters more were cut]")


def test_a_chunk_reads_as_it_was_written() -> None:
    entry = Entry(3, 12.5, "error", 'a\nβ ☃ "q"')
    data = entry.dump().encode() + b"\n" + b"{half of an\n" + b"[]\n"
    assert list(parse(data)) == [entry]
    assert entry.following == 5
