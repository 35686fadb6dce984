"""A real Kubernetes API server takes every object of the chart, and gives the accounts no more than they need."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError

from kubernetes import client, config

from .conftest import CHART, Object, Render, helm
from .test_chart import CASES

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore:Unverified HTTPS request")]


@pytest.fixture(scope="module")
def kubernetes_api(api_server: str) -> client.ApiClient:
    return config.new_client_from_config(api_server)  # type: ignore[no-any-return]


@pytest.fixture
def namespace(kubernetes_api: client.ApiClient) -> Iterator[str]:
    name = f"ratchet-{uuid.uuid4().hex[:8]}"
    core = client.CoreV1Api(kubernetes_api)
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


def api_version(kubernetes_api: client.ApiClient) -> str:
    return str(client.VersionApi(kubernetes_api).get_code().git_version)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_it_takes_every_object(
    kubernetes_api: client.ApiClient, namespace: str, render: Render, values: dict[str, Any]
) -> None:
    """By server-side apply, which refuses a field that the schema doesn't know; twice, as an upgrade would."""
    dynamic = DynamicClient(kubernetes_api)
    plain = {key: value for key, value in values.items() if key != "serviceMonitor"}
    objects = render(plain, kube_version=api_version(kubernetes_api))
    for _ in range(2):
        for thing in objects:
            resource = dynamic.resources.get(api_version=thing["apiVersion"], kind=thing["kind"])
            thing["metadata"].pop("namespace", None)
            applied = resource.server_side_apply(
                body=thing,
                name=thing["metadata"]["name"],
                namespace=namespace,
                field_manager="test",
                force_conflicts=True,
            )
            assert applied.metadata.uid
            if thing["kind"] == "RayCluster":
                assert lost(thing["spec"], applied.to_dict()["spec"]) == []


def test_a_misspelt_field_is_noticed(kubernetes_api: client.ApiClient, namespace: str, render: Render) -> None:
    """The check above can fail: a Deployment is refused, a RayCluster loses the field."""
    dynamic = DynamicClient(kubernetes_api)
    for kind, version in (("Deployment", "apps/v1"), ("RayCluster", "ray.io/v1")):
        thing = next(thing for thing in render() if thing["kind"] == kind)
        resource = dynamic.resources.get(api_version=version, kind=kind)
        thing["metadata"].pop("namespace", None)
        thing["spec"]["typo"] = "x"
        arguments = {"name": thing["metadata"]["name"], "namespace": namespace, "field_manager": "test"}
        if kind == "Deployment":
            with pytest.raises(DynamicApiError, match="typo"):
                resource.server_side_apply(body=thing, **arguments)
        else:
            applied = resource.server_side_apply(body=thing, **arguments)
            assert lost(thing["spec"], applied.to_dict()["spec"]) == [".typo"]


def lost(sent: Any, stored: Any, path: str = "") -> list[str]:
    """The fields that were sent and not stored: a server drops in silence what a custom resource's schema hasn't."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return [
            part
            for key, value in sent.items()
            for part in (lost(value, stored[key], f"{path}.{key}") if key in stored else [f"{path}.{key}"])
        ]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        return [
            part
            for n, (one, other) in enumerate(zip(sent, stored, strict=True))
            for part in lost(one, other, f"{path}[{n}]")
        ]
    return [] if sent == stored else [path]


@pytest.fixture
def release(api_server: str, kubernetes_api: client.ApiClient, namespace: str) -> str:
    """The chart installed by Helm; gives the namespace."""
    answer = helm("install", "ratchet", str(CHART), "--namespace", namespace, "--kubeconfig", api_server)
    assert answer.returncode == 0, answer.stderr
    assert "get secret ratchet-auth" in answer.stdout
    return namespace


def secrets(kubernetes_api: client.ApiClient, namespace: str) -> dict[str, Object]:
    found = client.CoreV1Api(kubernetes_api).list_namespaced_secret(
        namespace, label_selector="app.kubernetes.io/part-of=ratchet"
    )
    return {secret.metadata.name: secret.data for secret in found.items}


def test_an_upgrade_and_a_new_installation_keep_every_password(
    api_server: str, kubernetes_api: client.ApiClient, release: str
) -> None:
    first = secrets(kubernetes_api, release)
    assert first.keys() == {"ratchet-auth", "ratchet-keys", "ratchet-ray-token", "ratchet-postgres"}
    password = base64.b64decode(first["ratchet-postgres"]["password"])
    assert password in base64.b64decode(first["ratchet-postgres"]["url"])
    at = ("--namespace", release, "--kubeconfig", api_server)
    for command in (
        ("upgrade", "ratchet", str(CHART), *at, "--set", "api.replicas=3"),
        ("uninstall", "ratchet", *at),
        ("install", "ratchet", str(CHART), *at),
    ):
        answer = helm(*command)
        assert answer.returncode == 0, answer.stderr
    assert secrets(kubernetes_api, release) == first


ACCESS = [
    ("reconciler", "create", "ray.io", "rayjobs", True),
    ("reconciler", "delete", "ray.io", "rayclusters", True),
    ("reconciler", "get", "", "pods/log", True),
    ("reconciler", "get", "", "secrets", False),
    ("reconciler", "create", "", "pods", False),
    ("reconciler", "create", "", "pods/exec", False),
    ("api", "get", "ray.io", "rayjobs", False),
    ("mlflow", "list", "", "pods", False),
    ("ray", "get", "", "secrets", False),
]


def test_the_accounts_may_do_what_they_need_and_nothing_else(kubernetes_api: client.ApiClient, release: str) -> None:
    review = client.AuthorizationV1Api(kubernetes_api)
    for account, verb, group, resource, expected in ACCESS:
        name, _, subresource = resource.partition("/")
        attributes = {"namespace": release, "verb": verb, "group": group, "resource": name, "subresource": subresource}
        user = f"system:serviceaccount:{release}:ratchet-{account}"
        answer = review.create_subject_access_review({"spec": {"user": user, "resourceAttributes": attributes}})
        assert bool(answer.status.allowed) is expected, (account, verb, resource)
    elsewhere = {"namespace": "kube-system", "verb": "create", "group": "ray.io", "resource": "rayjobs"}
    user = f"system:serviceaccount:{release}:ratchet-reconciler"
    answer = review.create_subject_access_review({"spec": {"user": user, "resourceAttributes": elsewhere}})
    assert not answer.status.allowed
