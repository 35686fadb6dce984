"""Webhooks: what is sent, how it is signed, when it is sent again, and where it is never sent."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from ratchet import events, sealed
from ratchet.app import create_app
from ratchet.audit.reconcile import EventSealer
from ratchet.db import now
from ratchet.errors import Conflict, Invalid
from ratchet.reconciler.loop import claim, step
from ratchet.settings import Settings
from ratchet.webhooks import reconcile, sender, service
from ratchet.webhooks.reconcile import DeliveryReconciler, OutboxReconciler
from ratchet.webhooks.schemas import NewWebhook, WebhookChanges
from ratchet.webhooks.sender import Message, Sender, Sent
from ratchet.webhooks.status import DeliveryStatus
from ratchet.webhooks.tables import Delivery, Webhook

SETTINGS = Settings(storage_uri="file:///tmp", public_url="https://ratchet.test")
LOCAL = Settings(storage_uri="file:///tmp", webhook_allow_http=True, webhook_allowed_networks=["127.0.0.0/8"])
URL = "https://hooks.example.com/ratchet"


def secret_of(webhook: Webhook) -> str:
    secret = sealed.unseal(SETTINGS.secret_key, webhook.secret)
    assert secret is not None
    return secret


class FakeSender(Sender):
    """Takes note of what would be sent, and answers as it is told."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.answers: list[int | None] = []

    def send(self, message: Message) -> Sent:
        self.sent.append(message)
        status = self.answers.pop(0) if self.answers else 200
        return Sent(status, f"It answered {status}.", 3)


class World:
    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self.sender = FakeSender()
        with sessions() as session:
            service.ensure_outbox(session)
            session.commit()
        self.loops = [EventSealer(), OutboxReconciler(), DeliveryReconciler(SETTINGS, self.sender)]

    def hook(self, name: str = "mine", **given: Any) -> str:
        with self.sessions() as session:
            row = service.create(session, "default", NewWebhook(name=name, url=URL, **given), SETTINGS, actor="ann")
            session.commit()
            return row.id

    def emit(self, action: str = "job.failed", project: str = "default", **given: Any) -> int:
        with self.sessions() as session:
            event_id = events.emit(
                session, project=project, actor="ann", action=action, target=("job", "job-1"), **given
            )
            session.commit()
            return event_id

    def look(self) -> None:
        """One round of every loop, with everything due that waits for its time alone."""
        for loop in self.loops:
            with self.sessions() as session:
                if loop.table is not Delivery:
                    session.execute(update(loop.table).values(due_at=now(session)))
                    session.commit()
                claimed = claim(session, loop, 100)
            for row_id, lease in claimed:
                step(self.sessions, loop, row_id, lease)

    def look_later(self) -> None:
        """As if the pause of every delivery were over."""
        with self.sessions() as session:
            session.execute(update(Delivery).where(Delivery.due_at.is_not(None)).values(due_at=now(session)))
            session.commit()
        self.look()

    def deliveries(self) -> list[Delivery]:
        with self.sessions() as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.event_id)))

    def webhook(self, webhook_id: str) -> Webhook:
        with self.sessions() as session:
            return session.get_one(Webhook, webhook_id)


@pytest.fixture
def world(sessions: sessionmaker[Session]) -> World:
    return World(sessions)


# -- what is sent


def test_each_event_is_sent_once_to_each_that_listens(world: World) -> None:
    early = world.emit("job.failed")  # before there was a webhook
    world.hook("all")
    world.hook("jobs", events=["job.*"])
    world.hook("one", events=["endpoint.ready"])
    world.hook("off", enabled=False)
    failed, ready = world.emit("job.failed"), world.emit("endpoint.ready")
    for _ in range(3):
        world.look()
    names = {row.id: row.name for row in _webhooks(world)}
    sent = sorted((names[row.webhook_id], row.action) for row in world.deliveries() if row.event_id in (failed, ready))
    assert sent == [
        ("all", "endpoint.ready"),
        ("all", "job.failed"),
        ("jobs", "job.failed"),
        ("one", "endpoint.ready"),
    ]
    assert {row.status for row in world.deliveries()} == {DeliveryStatus.DELIVERED}
    assert early not in {row.event_id for row in world.deliveries()}
    ours = [message for message in world.sender.sent if json.loads(message.body)["id"] in (str(failed), str(ready))]
    assert len(ours) == 4


def test_an_event_comes_as_a_cloud_event_in_a_signed_message(world: World) -> None:
    webhook = world.webhook(world.hook(events=["job.*"]))
    event = world.emit("job.failed", before={"status": "running"}, after={"status": "failed"}, message="It broke.")
    world.look()
    (message,) = world.sender.sent
    assert message.id == world.deliveries()[0].id
    headers = dict(sender._headers(message))
    found = Receiver(secret_of(webhook)).verify(message.body, headers)
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert {name: found[name] for name in ("specversion", "id", "type", "subject", "source", "datacontenttype")} == {
        "specversion": "1.0",
        "id": str(event),
        "type": "ratchet.job.failed",
        "subject": "job/job-1",
        "source": "https://ratchet.test/api/v1/projects/default/events",
        "datacontenttype": "application/json",
    }
    assert found["data"]["after"] == {"status": "failed"}
    assert datetime.fromisoformat(found["time"]).tzinfo is not None
    with pytest.raises(WebhookVerificationError):
        Receiver(secret_of(webhook)).verify(message.body.replace(b"broke", b"works"), headers)


def test_a_large_event_goes_without_its_states(world: World) -> None:
    world.hook(events=["job.*"])
    world.emit("job.failed", after={"log": "x" * 50_000}, message="m" * 30_000)
    world.look()
    (message,) = world.sender.sent
    assert len(message.body) < reconcile.MAX_BODY_BYTES
    assert json.loads(message.body)["data"]["truncated"] is True


def test_after_a_rotation_both_secrets_sign_for_a_day(world: World) -> None:
    hook = world.hook(events=["job.*"])
    old = secret_of(world.webhook(hook))
    with world.sessions() as session:
        new = secret_of(service.rotate(session, session.get_one(Webhook, hook), SETTINGS, actor="ann"))
        session.commit()
    world.emit()
    world.look()
    headers = dict(sender._headers(world.sender.sent[-1]))
    for secret in (old, new):
        Receiver(secret).verify(world.sender.sent[-1].body, headers)
    with world.sessions() as session:
        session.execute(update(Webhook).values(previous_until=now(session) - timedelta(seconds=1)))
        session.commit()
    world.emit()
    world.look()
    assert world.sender.sent[-1].secrets == [new]


OLD, OLDER = ("whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


def test_no_secret_stands_in_the_database_as_it_is(world: World) -> None:
    hook = world.hook()
    before = secret_of(world.webhook(hook))
    with world.sessions() as session:
        now_signs = secret_of(service.rotate(session, session.get_one(Webhook, hook), SETTINGS, actor="ann"))
        session.commit()
        kept = str(session.execute(text("SELECT * FROM webhooks")).all())
    assert "sealed:" in kept
    for secret in (before, now_signs):
        assert secret.startswith("whsec_")
        assert secret.removeprefix("whsec_") not in kept


def test_secrets_of_an_older_version_sign_on_and_are_sealed(world: World) -> None:
    hook = world.hook(events=["job.*"])
    with world.sessions() as session:
        older = {"previous_secret": OLDER, "previous_until": now(session) + timedelta(hours=1)}
        session.execute(update(Webhook).values(secret=OLD, **older))
        session.commit()
    world.emit()
    world.look()
    assert world.sender.sent[-1].secrets == [OLD, OLDER]
    for _ in range(2):  # the second finds nothing to do
        with world.sessions() as session:
            service.seal_old(session, SETTINGS)
            session.commit()
        row = world.webhook(hook)
        assert row.secret.startswith("sealed:")
        assert (row.previous_secret or "").startswith("sealed:")
    world.emit()
    world.look()
    assert world.sender.sent[-1].secrets == [OLD, OLDER]


def test_the_api_seals_them_when_it_starts_and_shows_a_new_one_in_plain(api: Any) -> None:
    address, headers = "/api/v1/projects/default/webhooks", api.headers()
    made = api.http.post(address, json={"name": "mine", "url": URL}, headers=headers).json()
    assert made["secret"].startswith("whsec_")
    with api.sessions() as session:
        session.execute(update(Webhook).values(secret=OLD))
        session.commit()
    with TestClient(create_app(api.settings, api.clients)), api.sessions() as session:
        kept = session.scalars(select(Webhook.secret)).one()
    assert kept.startswith("sealed:")
    assert sealed.unseal(api.settings.secret_key, kept) == OLD


def test_under_another_key_a_delivery_waits_for_a_rotation(world: World, tmp_path: Path) -> None:
    hook = world.hook(events=["job.*"])
    (tmp_path / "secret.key").write_text("another key")
    other = Settings(storage_uri="file:///tmp", secret_key_file=tmp_path / "secret.key")
    world.loops[-1] = DeliveryReconciler(other, world.sender)
    world.emit()
    world.look()
    (row,) = world.deliveries()
    assert (row.status, row.status_code) == (DeliveryStatus.PENDING, None)
    assert "rotate" in row.message
    assert world.sender.sent == []
    with world.sessions() as session:
        service.rotate(session, session.get_one(Webhook, hook), other, actor="ann")
        session.execute(update(Delivery).values(due_at=now(session)))
        session.commit()
    world.look()
    assert len(world.sender.sent[-1].secrets) == 1


# -- sent again, and given up


def test_what_is_not_taken_is_sent_again_under_the_same_id_and_then_is_dead(world: World) -> None:
    world.hook(events=["job.*"])
    world.sender.answers = [500, None] * 10
    world.emit()
    world.look()
    (row,) = world.deliveries()
    assert (row.status, row.attempts, row.status_code) == (DeliveryStatus.PENDING, 1, 500)
    for _ in range(20):
        world.look_later()
    (row,) = world.deliveries()
    assert (row.status, row.attempts) == (DeliveryStatus.DEAD, len(reconcile.PAUSES) + 1)
    assert len({message.id for message in world.sender.sent}) == 1
    assert [entry["status_code"] for entry in row.log][:3] == [500, None, 500]


def test_the_pauses_grow_and_a_receiver_may_ask_for_more(world: World) -> None:
    class Busy(FakeSender):
        def send(self, message: Message) -> Sent:
            super().send(message)
            return Sent(503, "It answered 503.", 1, retry_after_s=3_600)

    world.hook(events=["job.*"])
    world.loops[-1] = DeliveryReconciler(SETTINGS, Busy())
    world.emit()
    world.look()
    (row,) = world.deliveries()
    assert row.due_at is not None
    with world.sessions() as session:
        assert timedelta(minutes=59) < row.due_at - now(session) <= timedelta(minutes=60)
    assert sorted(reconcile.PAUSES) == reconcile.PAUSES


def test_a_dead_delivery_is_sent_again_when_asked(world: World) -> None:
    hook = world.hook(events=["job.*"])
    world.sender.answers = [410]
    world.emit()
    world.look()
    (row,) = world.deliveries()
    assert (row.status, world.webhook(hook).enabled) == (DeliveryStatus.DEAD, False)
    with world.sessions() as session:
        webhook = session.get_one(Webhook, hook)
        delivery = session.get_one(Delivery, row.id)
        with pytest.raises(Conflict):
            service.redeliver(session, webhook, delivery, actor="ann")
        service.change(session, webhook, WebhookChanges(enabled=True), SETTINGS, actor="ann")
        service.redeliver(session, webhook, delivery, actor="ann")
        session.commit()
    world.look()
    assert [row.status for row in world.deliveries()] == [DeliveryStatus.DELIVERED]


def test_a_receiver_that_takes_nothing_is_disabled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PAUSES", [])
    monkeypatch.setattr(reconcile, "DISABLED_AFTER", 3)
    hook = world.hook(events=["job.*"])
    world.sender.answers = [500] * 3
    for _ in range(4):
        world.emit()
        world.look()
    webhook = world.webhook(hook)
    assert (webhook.enabled, webhook.reason) == (False, "Too many deliveries failed.")
    assert len(world.sender.sent) == 3


def test_a_webhook_that_is_gone_takes_its_deliveries_with_it(world: World) -> None:
    hook = world.hook(events=["job.*"])
    world.sender.answers = [500]
    world.emit()
    world.look()
    with world.sessions() as session:
        service.remove(session, session.get_one(Webhook, hook), actor="ann")
        session.commit()
    world.look_later()
    assert (world.deliveries(), len(world.sender.sent)) == ([], 1)


def test_old_deliveries_are_forgotten(world: World) -> None:
    world.hook(events=["job.*"])
    world.emit()
    world.look()
    with world.sessions() as session:
        assert service.purge(session) == 0
        session.execute(update(Delivery).values(created_at=datetime.now(UTC) - service.KEPT_FOR - timedelta(days=1)))
        assert service.purge(session) == 1


# -- where it is never sent

OURS = [
    "http://hooks.example.com/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://0x7f.1/",
    "https://2130706433/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[2002:7f00:1::]/",
    "https://[64:ff9b::7f00:1]/",
    "https://localhost/",
    "https://user:secret@hooks.example.com/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:99999/",
    "https:///nothing",
    "https://ex ample.com/",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "ftp://hooks.example.com/",
]


@pytest.mark.parametrize("url", OURS)
def test_nothing_is_sent_to_an_address_of_ours(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.create_connection", never)
    found = Sender(SETTINGS).send(Message("dlv-1", url, ["whsec_aGVsbG8="], b"{}"))
    assert found.status_code is None
    assert found.message


@pytest.mark.parametrize(
    "url", [url for url in OURS if not url.startswith(("https://127.1", "https://0", "https://2130", "https://localh"))]
)
def test_an_address_that_says_what_it_is_is_refused_at_once(world: World, url: str) -> None:
    with world.sessions() as session, pytest.raises(Invalid) as refused:
        service.create(session, "default", NewWebhook(name="mine", url=url), SETTINGS, actor="ann")
    assert refused.value.errors[0].pointer == "/url"


@pytest.mark.parametrize(
    ("address", "strictly", "with_network"),
    [
        ("93.184.216.34", True, True),
        ("10.1.2.3", False, True),
        ("10.200.0.1", False, False),
        ("::ffff:93.184.216.34", True, True),
        ("::ffff:10.1.2.3", False, True),
        ("64:ff9b::5db8:d822", True, True),
        ("64:ff9b::a01:203", False, True),
        ("2002:5db8:d822::1", True, True),
        ("2002:a01:203::1", False, True),
        ("2606:2800:220:1::1", True, True),
        ("fd00::1", False, False),
    ],
)
def test_an_address_is_judged_by_where_it_leads(address: str, strictly: bool, with_network: bool) -> None:
    ours = Settings(storage_uri="file:///tmp", webhook_allowed_networks=["10.1.0.0/16"])
    assert sender.permitted(ip_address(address), SETTINGS) is strictly
    assert sender.permitted(ip_address(address), ours) is with_network


class _Canary(BaseHTTPRequestHandler):
    hits: list[str]
    status = 200
    location = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).hits.append(f"{self.path} {body.decode()}")
        self.send_response(type(self).status)
        if self.location:
            self.send_header("Location", self.location)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def canary() -> Iterator[Any]:
    handler = type("Canary", (_Canary,), {"hits": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_name_that_answers_otherwise_the_second_time_leads_nowhere(
    canary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the address that was checked is the one that is connected to."""
    answers = [[(2, 1, 6, "", ("93.184.216.34", 80))], [(2, 1, 6, "", ("127.0.0.1", 80))]]
    asked: list[str] = []
    connected: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return answers[min(len(asked), 2) - 1]

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> Any:
        connected.append(address[0])
        raise OSError("no network here")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    monkeypatch.setattr("socket.create_connection", connect)
    public = Sender(Settings(storage_uri="file:///tmp", webhook_allow_http=True))
    public.send(Message("dlv-1", "http://rebinding.example.com/", ["whsec_aGVsbG8="], b"{}"))
    assert (asked, connected) == (["rebinding.example.com"], ["93.184.216.34"])
    again = public.send(Message("dlv-1", "http://rebinding.example.com/", ["whsec_aGVsbG8="], b"{}"))
    assert "not on the public internet" in again.message
    assert canary.hits == []


def test_one_address_of_ours_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    sent = Sender(SETTINGS).send(Message("dlv-1", URL, ["whsec_aGVsbG8="], b"{}"))
    assert "127.0.0.1" in sent.message


def test_what_the_settings_allow_is_sent_and_no_redirect_is_followed(canary: Any) -> None:
    message = Message("dlv-1", f"{canary.url}/hook", ["whsec_aGVsbG8="], b'{"a":1}')
    assert Sender(LOCAL).send(message).status_code == 200
    canary.status, canary.location = 302, f"{canary.url}/elsewhere"
    assert Sender(LOCAL).send(message).status_code == 302
    assert canary.hits == ['/hook {"a":1}'] * 2


def test_a_receiver_that_dawdles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends its headers byte by byte, each well within the time of one read."""
    import socket

    monkeypatch.setattr(sender, "TOTAL_S", 0.3)
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def dawdle() -> None:
        connection, _ = listening.accept()
        with connection:
            while not over.wait(0.02):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=dawdle, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    sent = Sender(LOCAL).send(Message("dlv-1", url, ["whsec_aGVsbG8="], b"{}"))
    over.set()
    thread.join()
    listening.close()
    assert sent.status_code is None


def _webhooks(world: World) -> list[Webhook]:
    with world.sessions() as session:
        return list(session.scalars(select(Webhook)))
