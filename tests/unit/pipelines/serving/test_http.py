"""An endpoint's HTTP: every way in, and every way out, without Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.serving.fakes import TOKEN, World, config, ready, run, world

ROW = {"a": 1.0, "b": 2.0}


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[World]:
    made = world(tmp_path)
    yield made
    run(made.app.close())


def test_a_prediction_says_who_made_it(endpoint: World) -> None:
    answer = run(endpoint.call(body={"inputs": [ROW, {"a": 3, "b": 4}], "key": "k", "request_id": "r-1"}))
    assert answer.status == 200
    assert answer.body == {
        "request_id": "r-1",
        "endpoint": "e",
        "variant": "v0",
        "model": "m",
        "model_version": 1,
        "predictions": [{"prediction": 3.0}, {"prediction": 7.0}],
    }
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) > 0


def test_the_request_id_is_echoed_or_made(endpoint: World) -> None:
    given = run(endpoint.call(body={"inputs": [ROW]}, x_request_id="abc"))
    assert given.body["request_id"] == given.headers["x-request-id"] == "abc"
    made = [run(endpoint.call(body={"inputs": [ROW]}, x_request_id="not ok!")) for _ in range(2)]
    assert made[0].body["request_id"] != made[1].body["request_id"]


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [(None, 401, "unauthenticated"), ("wrong", 403, "forbidden"), ("", 401, "unauthenticated")],
)
def test_closed_to_whoever_has_no_token(endpoint: World, token: str | None, status: int, code: str) -> None:
    answer = run(endpoint.call(body={"inputs": [ROW]}, token=token))
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_endpoint_without_tokens_is_closed_to_all(tmp_path: Path) -> None:
    made = world(tmp_path, config(1.0).model_copy(update={"token_hashes": []}))
    assert run(made.call(body={"inputs": [ROW]})).status == 403
    run(made.app.close())


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"{", 400, "invalid_json", "not JSON"),
        (b'{"inputs": [{"a": NaN, "b": 1}]}', 400, "invalid_json", "not JSON"),
        (b'{"inputs": [{"a": Infinity, "b": 1}]}', 400, "invalid_json", "not JSON"),
        (b"\xff", 400, "invalid_json", "not JSON"),
        (b"[" * 5_000, 400, "invalid_json", "not JSON"),
        (b"[]", 422, "invalid_request", "is an object"),
        (b"{}", 422, "invalid_request", "1 to 1000 rows"),
        (b'{"inputs": []}', 422, "invalid_request", "1 to 1000 rows"),
        (b'{"input": [{"a": 1, "b": 1}]}', 422, "invalid_request", "Did you mean 'inputs'?"),
        (b'{"inputs": [{"a": 1, "b": 1}], "key": 3}', 422, "invalid_request", "`key`"),
        (b'{"inputs": [{"a": 1, "b": 1}], "key": ""}', 422, "invalid_request", "`key`"),
        (b'{"inputs": [{"a": 1, "b": 1}], "request_id": "../x"}', 422, "invalid_request", "`request_id`"),
        (b'{"inputs": [{"a": 1}]}', 422, "invalid_inputs", "Column 'b' is missing"),
        (b'{"inputs": [{"a": 1, "b": 1e999}]}', 422, "invalid_inputs", "Column 'b' in row 0"),
        (b'{"inputs": [{"a": 13, "b": 1}]}', 500, "model_failed", "model failed on this input"),
    ],
)
def test_a_bad_request_is_told_what_to_change(endpoint: World, body: bytes, status: int, code: str, words: str) -> None:
    answer = run(endpoint.call(body=body))
    assert (answer.status, answer.body["code"]) == (status, code)
    assert words in answer.body["detail"]
    assert "secret" not in json.dumps(answer.body)
    assert answer.body["instance"] == "/p/e/predict"


def test_rows_and_bytes_have_a_limit(endpoint: World) -> None:
    assert run(endpoint.call(body={"inputs": [ROW] * 1000})).status == 200
    assert run(endpoint.call(body={"inputs": [ROW] * 1001})).status == 422
    padded = json.dumps({"inputs": [ROW]}).encode()
    assert run(endpoint.call(body=padded.ljust(1024 * 1024))).status == 200
    assert run(endpoint.call(body=padded.ljust(1024 * 1024 + 1))).status == 413
    assert run(endpoint.call(body=padded, content_length="1048577")).status == 413


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/predict", "GET", 405), ("/status", "POST", 405), ("/", "GET", 404), ("/predict/x", "POST", 404)],
)
def test_other_addresses_and_methods(endpoint: World, path: str, method: str, status: int) -> None:
    assert run(endpoint.call(path, method, body={})).status == status


def test_the_status_needs_no_token_and_counts_the_log(endpoint: World) -> None:
    answer = run(endpoint.call("/status", "GET", token=None))
    assert answer.body["generation"] == 1
    assert answer.body["variants"] == [
        {"name": "v0", "model": "m", "version": 1, "weight": 1.0, "state": "ready", "message": ""}
    ]
    assert answer.body["log"]["dropped"] == 0
    assert TOKEN not in json.dumps(answer.body)


def test_a_prediction_that_is_not_a_number_is_null(tmp_path: Path) -> None:
    made = world(tmp_path, model=ready(answer=float("nan")))
    assert run(made.call(body={"inputs": [ROW]})).body["predictions"] == [{"prediction": None}]
    run(made.app.close())


def test_a_slow_model_leaves_the_event_loop_to_others(tmp_path: Path) -> None:
    """Its `predict` waits for something that only the event loop can give."""
    made = world(tmp_path, model=ready(seconds=1.0))

    async def scenario() -> Any:
        loop = asyncio.get_running_loop()
        model = made.replica.active.models[0].model  # type: ignore[union-attr]
        answer = model.predict

        def wait_for_loop(*arguments: Any) -> Any:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(10)
            return answer(*arguments)

        model.predict = wait_for_loop  # type: ignore[method-assign]
        return await asyncio.gather(*(made.call(body={"inputs": [ROW]}) for _ in range(5)))

    assert [answer.status for answer in run(scenario())] == [200] * 5
    run(made.app.close())


def test_an_endpoint_without_a_model_is_not_ready(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.replica.active = None
    answer = run(made.call(body={"inputs": [ROW]}))
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (503, "not_ready", "5")
    run(made.app.close())
