"""What the chart renders: its security, its references, its network, and what values it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from ratchet.settings import Settings

from .conftest import CHART, Object, Render, helm

S3 = {
    "storage": {"uri": "s3://bucket/ratchet", "existingSecret": "s3", "env": {"AWS_ENDPOINT_URL": "http://minio:9000"}},
    "postgres": {"enabled": False},
    "database": {"existingSecret": "database"},
    "publicUrl": "https://ratchet.example.org",
    "predictionsUrl": "https://predict.example.org",
    "ingress": {
        "api": {"enabled": True, "host": "ratchet.example.org", "tlsSecret": "tls", "className": "nginx"},
        "predictions": {"enabled": True, "host": "predict.example.org"},
    },
    "ray": {"autoscaling": True, "env": {"NCCL_DEBUG": "INFO"}},
    "serviceMonitor": {"enabled": True},
    "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
    "networkPolicy": {"apiFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}]},
    "commonLabels": {"team": "ml"},
}
EXISTING_RAY = {"ray": {"enabled": False, "address": "http://ray.other.svc:8265", "existingSecret": "ray"}}
CASES: dict[str, Object] = {"default": {}, "s3, database, ingress": S3, "existing ray": EXISTING_RAY}

every_case = pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())


def pod_templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Each pod template with a name for it: in workloads, in the RayCluster's groups, and bare pods."""
    for thing in objects:
        name = f"{thing['kind']}/{thing['metadata']['name']}"
        if thing["kind"] == "Pod":
            yield name, thing
        elif thing["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield name, thing["spec"]["template"]
        elif thing["kind"] == "RayCluster":
            yield f"{name}/head", thing["spec"]["headGroupSpec"]["template"]
            for group in thing["spec"]["workerGroupSpecs"]:
                yield f"{name}/{group['groupName']}", group["template"]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]


def named(objects: list[Object], kind: str) -> set[str]:
    return {thing["metadata"]["name"] for thing in objects if thing["kind"] == kind}


def walk(value: Any) -> Iterator[Object]:
    """Every mapping inside a value."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def test_helm_lints_it_strictly() -> None:
    answer = helm("lint", str(CHART), "--strict", "--kube-version", "1.31.0", values=S3)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@every_case
def test_every_pod_meets_the_restricted_pod_security_standard(render: Render, values: Object) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root."""
    pods = dict(pod_templates(render(values)))
    assert len(pods) >= 5
    allowed = {
        "configMap",
        "emptyDir",
        "persistentVolumeClaim",
        "projected",
        "secret",
        "csi",
        "ephemeral",
        "downwardAPI",
    }
    for name, pod in pods.items():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        for volume in spec.get("volumes", []):
            assert volume.keys() - {"name"} <= allowed, (name, volume)
        for container in containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert "hostPort" not in json.dumps(container), name


@every_case
def test_no_pod_takes_more_of_the_cluster_than_it_needs(render: Render, values: Object) -> None:
    for name, pod in pod_templates(render(values)):
        token = pod["spec"]["automountServiceAccountToken"]
        scales = values.get("ray", {}).get("autoscaling", False) and name.endswith("/head")
        assert token is ("reconciler" in name or scales), name
        assert pod["spec"]["enableServiceLinks"] is False, f"{name}: RATCHET_PORT=tcp://… would be set by Kubernetes"
        for container in containers(pod):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


@every_case
def test_labels_are_those_of_the_convention(render: Render, values: Object) -> None:
    wanted = {
        f"app.kubernetes.io/{key}" for key in ("name", "instance", "version", "component", "part-of", "managed-by")
    }
    for thing in render(values):
        assert wanted | {"helm.sh/chart"} <= thing["metadata"]["labels"].keys(), thing["metadata"]["name"]
        if "commonLabels" in values:
            assert thing["metadata"]["labels"]["team"] == "ml"


@every_case
def test_what_is_referred_to_exists(render: Render, values: Object) -> None:
    """Each Secret, ConfigMap, claim, account and Service that is named is rendered, or was named in the values."""
    objects = render(values)
    given = set(re.findall(r"[a-z0-9]+", yaml.safe_dump(values)))
    for name, pod in pod_templates(objects):
        assert pod["spec"].get("serviceAccountName", "") in named(objects, "ServiceAccount") | {""}, name
        for part in walk(pod):
            for key, field, kind in (
                ("secretKeyRef", "name", "Secret"),
                ("secretRef", "name", "Secret"),
                ("secret", "secretName", "Secret"),
                ("configMapRef", "name", "ConfigMap"),
                ("configMap", "name", "ConfigMap"),
                ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
            ):
                if isinstance(part.get(key), dict) and field in part[key]:
                    assert part[key][field] in named(objects, kind) | given, (name, part[key])
        mounts = {mount["name"] for container in containers(pod) for mount in container.get("volumeMounts", [])}
        made = {
            claim["metadata"]["name"]
            for thing in objects
            for claim in thing.get("spec", {}).get("volumeClaimTemplates", [])
        }
        assert mounts <= {volume["name"] for volume in pod["spec"].get("volumes", [])} | made, name


@every_case
def test_each_service_selects_the_pods_of_one_component(render: Render, values: Object) -> None:
    objects = render(values)
    pods = dict(pod_templates(objects))
    for service in (thing for thing in objects if thing["kind"] == "Service"):
        selector = service["spec"]["selector"]
        if "ray.io/cluster" in selector:
            assert selector == {"ray.io/cluster": "ratchet", "ray.io/node-type": "head"}
            assert named(objects, "RayCluster") == {"ratchet"}
            continue
        chosen = [name for name, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()]
        assert len(chosen) == 1, (service["metadata"]["name"], chosen)
        ports = {port.get("name") for container in containers(pods[chosen[0]]) for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@every_case
def test_no_secret_stands_in_an_environment_or_a_command(render: Render, values: Object) -> None:
    objects = render(values)
    secrets = [value for thing in objects if thing["kind"] == "Secret" for value in thing["stringData"].values()]
    rest = json.dumps([thing for thing in objects if thing["kind"] != "Secret"])
    assert all(len(secret) >= 48 and secret not in rest for secret in secrets)


def test_no_pod_holds_a_key_that_it_does_not_need(render: Render) -> None:
    held = {}
    for name, pod in pod_templates(render()):
        volumes = [volume.get("secret", {}) for volume in pod["spec"].get("volumes", [])]
        ours = [secret for secret in volumes if secret.get("secretName") == "ratchet-keys"]
        held[name] = {item["key"] for secret in ours for item in secret["items"]}
    everything = {"secret-key", "mlflow-token", "serving-token"}
    for name, keys in held.items():
        kind, _, part = name.partition("/")
        wanted = everything if part.endswith(("-api", "-reconciler")) else set()
        wanted = {"mlflow-token"} if part.endswith("-mlflow") else wanted
        assert keys == ({"serving-token"} if kind == "RayCluster" else wanted) or "migration" in name, name


def test_no_password_is_a_default(render: Render) -> None:
    one, other = (
        {thing["metadata"]["name"]: thing["stringData"] for thing in render() if thing["kind"] == "Secret"}
        for _ in range(2)
    )
    assert one.keys() == other.keys() == {"ratchet-auth", "ratchet-keys", "ratchet-ray-token", "ratchet-postgres"}
    assert all(one[name][key] != other[name][key] for name in one for key in one[name])


def test_ray_asks_for_its_token(render: Render) -> None:
    cluster = next(thing for thing in render() if thing["kind"] == "RayCluster")
    assert cluster["spec"]["authOptions"] == {"mode": "token", "secretName": "ratchet-ray-token"}


def test_the_configuration_restarts_what_reads_it(render: Render) -> None:
    def checksums(values: Object) -> set[str]:
        found = (
            pod["metadata"].get("annotations", {}).get("checksum/config") for _, pod in pod_templates(render(values))
        )
        return {checksum for checksum in found if checksum}

    assert checksums({}) != checksums({"reconciler": {"maxConcurrentJobs": 5}})


def test_every_setting_is_one_that_the_platform_knows(render: Render) -> None:
    known = {f"RATCHET_{name.upper()}" for name in Settings.model_fields}
    settings = next(thing["data"] for thing in render() if thing["metadata"]["name"] == "ratchet-settings")
    assert {name for name in settings if name.startswith("RATCHET_")} <= known
    assert from_environment(settings).port == 8470


def test_what_the_values_say_of_the_reconciler_is_what_it_reads(render: Render) -> None:
    values = {
        "reconciler": {"maxConcurrentJobs": 5, "logRetentionDays": 7},
        "webhooks": {"allowHttp": True, "allowedNetworks": ["10.20.0.0/16"]},
    }
    data = next(thing["data"] for thing in render(values) if thing["metadata"]["name"] == "ratchet-settings")
    settings = from_environment(data)
    assert (settings.max_concurrent_jobs, settings.log_retention_days, settings.webhook_allow_http) == (5, 7, True)
    assert [str(network) for network in settings.webhook_allowed_networks] == ["10.20.0.0/16"]


def from_environment(given: Object) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        return Settings()


def test_people_sign_in_at_the_provider_of_the_values(render: Render) -> None:
    oidc = {"issuer": "https://login.example.org", "clientId": "ratchet", "existingSecret": "oidc"}
    objects = render({"auth": {"oidc": {**oidc, "roles": {"ml": ["fraud:editor"]}}}})
    settings = from_environment(
        next(thing["data"] for thing in objects if thing["metadata"]["name"] == "ratchet-settings")
    )
    assert (settings.oidc_issuer, settings.oidc_roles) == ("https://login.example.org", {"ml": ["fraud:editor"]})
    api = next(
        thing for thing in objects if thing["kind"] == "Deployment" and thing["metadata"]["name"] == "ratchet-api"
    )
    mounts = {mount["mountPath"] for mount in api["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert settings.oidc_client_secret_file is not None
    assert str(settings.oidc_client_secret_file.parent) in mounts
    assert "ratchet-api.mlops.svc" in settings.allowed_hosts


def test_a_new_image_is_a_new_migration(render: Render) -> None:
    def job(values: Object) -> set[str]:
        return named(render(values), "Job")

    assert job({}) == job({})
    assert job({}) != job({"image": {"tag": "2.0.0"}})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"api": {"replcas": 3}}, "replcas"),
        ({"api": {"replicas": 0}}, "api.replicas"),
        ({"api": {"replicas": "two"}}, "api.replicas"),
        ({"image": {"digest": "sha256:abc"}}, "image.digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "image.pullPolicy"),
        ({"publicUrl": "ratchet.example.org"}, "publicUrl"),
        ({"storage": {"uri": "/data"}}, "storage.uri"),
        ({"storage": {"volume": {"size": "much"}}}, "storage.volume.size"),
        ({"postgres": {"enabled": False}}, "database.existingSecret"),
        ({"ray": {"enabled": False}}, "ray.address"),
        ({"ray": {"version": "latest"}}, "ray.version"),
        ({"ray": {"workers": [{"name": "GPU"}]}}, "ray.workers.0"),
        ({"ingress": {"api": {"enabled": True}}}, "ingress.api.host"),
        ({"fullnameOverride": "x" * 41}, "fullnameOverride"),
        ({"auth": {"oidc": {"issuer": "https://login.example.org"}}}, "auth.oidc.clientId"),
        ({"auth": {"oidc": {"roles": {"ml": ["fraud:owner"]}}}}, "auth.oidc.roles.ml"),
        ({"typo": {}}, "typo"),
    ],
)
def test_a_bad_value_is_refused_by_name(values: Object, says: str) -> None:
    answer = helm("template", "ratchet", str(CHART), values=values)
    assert answer.returncode != 0
    assert says in answer.stderr


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(node: Object, value: Object, path: str) -> None:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
        if "properties" not in node or not isinstance(value, dict) or node.get("additionalProperties") is not False:
            return
        extra = {"global"} if not path else {"requests", "limits"}
        assert value.keys() <= node["properties"].keys(), path
        assert node["properties"].keys() - value.keys() <= extra, path
        for key, inner in value.items():
            compare(node["properties"][key], inner, f"{path}.{key}")

    compare(schema, values, "")


Reach = Callable[[str, str, int], bool]


@pytest.fixture(scope="session")
def reach(render: Render) -> Reach:
    """Whether a pod of one component may open a port of another, by the policies; `outside` is any other pod."""
    objects = render()
    policies = [thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy"]
    labels = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["metadata"]["labels"]
        for _, pod in pod_templates(objects)
    }
    labels["outside"] = {}

    def selects(selector: Object, component: str) -> bool:
        return selector.get("matchLabels", {}).items() <= labels[component].items()

    def permitted(component: str, peer: str, port: int, direction: str, side: str) -> bool:
        mine = [p for p in policies if component != "outside" and selects(p["podSelector"], component)]
        mine = [p for p in mine if direction in p["policyTypes"]]
        return not mine or any(
            any(entry["port"] == port for entry in rule.get("ports", [{"port": port}]))
            and (
                side not in rule
                or any("ipBlock" not in p and selects(p.get("podSelector", {}), peer) for p in rule[side])
            )
            for policy in mine
            for rule in policy.get(direction.lower(), [])
        )

    def reaches(source: str, target: str, port: int) -> bool:
        return permitted(source, target, port, "Egress", "to") and permitted(target, source, port, "Ingress", "from")

    return reaches


OPEN = {
    **{(source, "postgres", 5432): True for source in ("api", "reconciler", "migration", "mlflow")},
    **{(source, "mlflow", 5000): True for source in ("api", "reconciler")},
    **{(source, "ray", 8265): True for source in ("api", "reconciler", "ray")},
    **{(source, "ray", 6379): True for source in ("ray",)},
    **{(source, "ray", 8000): True for source in ("api", "reconciler", "ray", "outside")},
    **{(source, "api", 8470): True for source in ("test", "ray", "outside")},
}


@pytest.mark.parametrize(
    "target",
    [
        ("postgres", 5432),
        ("mlflow", 5000),
        ("ray", 8265),
        ("ray", 6379),
        ("ray", 8000),
        ("api", 8470),
        ("reconciler", 8470),
    ],
)
@pytest.mark.parametrize("source", ["api", "reconciler", "migration", "mlflow", "postgres", "ray", "test", "outside"])
def test_the_network_is_closed_but_for_what_is_needed(reach: Reach, source: str, target: tuple[str, int]) -> None:
    assert reach(source, *target) is OPEN.get((source, *target), False)
