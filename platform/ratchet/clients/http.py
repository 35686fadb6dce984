"""One way to call an HTTP API: a time-out on each call, and failures as `EngineUnavailable` or `EngineRefused`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from ratchet.clients.ports import EngineRefused, EngineSilent, EngineUnavailable
from ratchet.logs import masked

TIMEOUT_S = 5.0
MAX_MESSAGE_CHARACTERS = 2_000


class Http:
    """A client of one engine. Safe to share between threads; `token` is asked anew for each call."""

    def __init__(
        self,
        engine: str,
        base_url: str,
        token: Callable[[], str] = str,
        *,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.engine = engine
        self._token = token
        # No proxy of the environment: these are services of our own, most often on this machine.
        self._client = httpx2.Client(
            base_url=base_url.rstrip("/"), timeout=TIMEOUT_S, trust_env=False, transport=transport
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> httpx2.Response:
        """The answer, when it is 2xx. `timeout_s` bounds each of connecting, sending and every wait for data."""
        try:
            response = self._client.request(
                method, path, json=json, params=params, headers=self._headers(), timeout=timeout_s
            )
        except OSError as error:  # the token's file
            raise EngineUnavailable(self.engine, f"{self.engine}'s token can't be read: {error}") from error
        except httpx2.TimeoutException as error:
            raise EngineSilent(self.engine, f"{self.engine} did not answer within {timeout_s:g} s.") from error
        except httpx2.HTTPError as error:
            raise EngineSilent(self.engine, f"{self.engine} can't be reached: {error}") from error
        if response.is_success:
            return response
        raise self._error(response)

    def json(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[str, Any]:
        """The answer's body, a JSON object."""
        response = self.request(method, path, json=json, params=params, timeout_s=timeout_s)
        try:
            body = response.json()
        except ValueError as error:
            raise EngineUnavailable(self.engine, f"{self.engine} answered {path} with something not JSON.") from error
        if not isinstance(body, dict):
            raise EngineUnavailable(self.engine, f"{self.engine} answered {path} with no JSON object.")
        return body

    def _headers(self) -> dict[str, str]:
        token = self._token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _error(self, response: httpx2.Response) -> EngineUnavailable | EngineRefused:
        code, message = _told(response)
        message = masked(message)[-MAX_MESSAGE_CHARACTERS:]
        status = response.status_code
        if status in (502, 503, 504):
            return EngineSilent(self.engine, f"{self.engine} answered {status}: {message}")
        if status >= 500 or status in (408, 425, 429):
            return EngineUnavailable(self.engine, f"{self.engine} answered {status}: {message}")
        if status in (401, 403):
            # Not the fault of what was asked: with the right token the same call may go through.
            return EngineUnavailable(self.engine, f"{self.engine} refused the platform's token ({status}).")
        return EngineRefused(self.engine, message, status, code)


def _told(response: httpx2.Response) -> tuple[str, str]:
    """MLflow answers `{"error_code", "message"}`, Ray plain text."""
    try:
        body = response.json()
    except ValueError:
        return "", response.text.strip()
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body.get("error_code", "")), body["message"]
    return "", response.text.strip()
