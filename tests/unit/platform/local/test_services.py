"""Two stacks on one machine share no file, no socket and no port."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from ratchet.local.layout import Layout
from ratchet.local.ports import BLOCK, FIRST_BLOCK, Ports
from ratchet.local.services import ray, ray_environment

FIRST = Ports(api=8470, serve=8471, base=FIRST_BLOCK)
SECOND = Ports(api=8472, serve=8473, base=FIRST_BLOCK + BLOCK)


@pytest.fixture(scope="module")
def serve_constants() -> str:
    """The source of the installed Ray's constants: read, not imported."""
    ray_package = find_spec("ray")
    assert ray_package is not None
    assert ray_package.submodule_search_locations
    return (Path(ray_package.submodule_search_locations[0]) / "serve/_private/constants.py").read_text()


def opened(layout: Layout, ports: Ports) -> dict[str, str]:
    """What the environment of Ray says of paths and ports."""
    environment = ray_environment(layout, ports)
    return {name: value for name, value in environment.items() if value.startswith("/") or name.endswith("_PORT")}


def test_every_path_that_serve_would_share_lies_in_the_stack(serve_constants: str, tmp_path: Path) -> None:
    shared = re.findall(r'"(RAY_SERVE_\w+)",\s*"/tmp/', serve_constants)
    assert "RAY_SERVE_HAPROXY_SOCKET_PATH" in shared
    layout = Layout.at(tmp_path / "home")
    environment = ray_environment(layout, FIRST)
    assert {name for name in shared if not Path(environment.get(name, "/")).is_relative_to(layout.haproxy)} == set()


def test_every_port_that_serve_would_share_lies_in_the_block(serve_constants: str, tmp_path: Path) -> None:
    shared = re.findall(r'"(RAY_SERVE_\w+_PORT)",\s*"?\d', serve_constants)
    assert {"RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"} <= set(shared)
    environment = ray_environment(Layout.at(tmp_path / "home"), FIRST)
    block = range(FIRST.base, FIRST.base + BLOCK)
    assert {name for name in shared if int(environment.get(name, 0)) not in block} == set()


def test_two_stacks_have_nothing_in_common(tmp_path: Path) -> None:
    first = opened(Layout.at(tmp_path / "a"), FIRST)
    second = opened(Layout.at(tmp_path / "b"), SECOND)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] == second[name]] == []
    one, other = ray(Layout.at(tmp_path / "a"), FIRST), ray(Layout.at(tmp_path / "b"), SECOND)
    ports = [{part for part in service.command if re.search(r"port=\d", part)} for service in (one, other)]
    assert ports[0]
    assert ports[0].isdisjoint(ports[1])


@pytest.mark.parametrize("home", ["/root/.ratchet", "/home/alice/.ratchet", "/home/bartholomew/projects/ratchet/home"])
def test_the_sockets_of_haproxy_have_names_that_the_kernel_takes(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray puts its node's id into the path, and HAProxy binds to a temporary name beside it."""
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    environment = ray_environment(Layout(Path(home)), FIRST)
    largest_pid, node = 4_194_304, "0" * 56
    for name in ("RAY_SERVE_HAPROXY_SOCKET_PATH", "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH"):
        socket = Path(environment[name])
        bound = f"{socket.parent / node / socket.name}"
        temporary = f".{largest_pid}.tmp" if name == "RAY_SERVE_HAPROXY_SOCKET_PATH" else ""
        assert len(bound + temporary) < 108
