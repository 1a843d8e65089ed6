"""The manifests in `deploy/k8s`: Kubernetes' own schemas, and that they fit each other and us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from pyserve.config import ServeConfig
from tests.support.scripts import REPOSITORY
from tests.unit.repository.test_deploy import known_metrics, used_metrics

K8S = REPOSITORY / "deploy/k8s"
VERSIONS = ("1.29", "1.37")
ENDING_S = 5  # readiness off, then the last processes

NAME = {"type": "string", "minLength": 1, "maxLength": 253}
PORT = {
    "type": "object",
    "properties": {"number": {"type": "integer", "minimum": 1, "maximum": 65535}},
    "required": ["number"],
    "additionalProperties": False,
}
# Fields of inference.networking.k8s.io/v1, after the Gateway API Inference Extension 1.x.
POOL_SPEC = {
    "type": "object",
    "properties": {
        "selector": {
            "type": "object",
            "properties": {
                "matchLabels": {"type": "object", "additionalProperties": {"maxLength": 63}}
            },
            "required": ["matchLabels"],
            "additionalProperties": False,
        },
        "targetPorts": {"type": "array", "minItems": 1, "maxItems": 8, "items": PORT},
        "endpointPickerRef": {
            "type": "object",
            "properties": {
                "group": {"type": "string", "maxLength": 253},
                "kind": {"type": "string", "minLength": 1, "maxLength": 63},
                "name": NAME,
                "port": PORT,
                "failureMode": {"enum": ["FailOpen", "FailClose"]},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
        "appProtocol": {"enum": ["http", "kubernetes.io/h2c"]},
    },
    "required": ["selector", "targetPorts", "endpointPickerRef"],
    "additionalProperties": False,
}


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((K8S / name).read_text())
    return found


def resources() -> Iterator[dict[str, Any]]:
    """What `kubectl apply -k` would make."""
    for name in load("kustomization.yaml")["resources"]:
        yield from yaml.safe_load_all((K8S / name).read_text())


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    found: dict[str, Any] = load("deployment.yaml")["spec"]["template"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_manifests(version: str) -> None:
    kinds = set()
    for manifest in resources():
        kubernetes_validate.validate(manifest, version, strict=True)
        kinds.add(manifest["kind"])
        broken = {**manifest, "spec": {**manifest["spec"], "replica": 1}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, version, strict=True)
    assert kinds == {
        "Deployment",
        "Service",
        "PersistentVolumeClaim",
        "HorizontalPodAutoscaler",
    }


def test_pods_have_no_rights_and_write_to_their_own_volumes_alone(pod) -> None:
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    (pull,) = spec["initContainers"]
    assert pull["command"][-1] == spec["containers"][0]["args"][0]


def test_requests_may_end_before_pods_do(pod) -> None:
    grace_s = ServeConfig().graceful_timeout_s
    assert pod["spec"]["terminationGracePeriodSeconds"] >= grace_s + ENDING_S


def test_service_autoscaler_and_pool_mean_these_pods(pod) -> None:
    labels = pod["metadata"]["labels"].items()
    deployment, pool = load("deployment.yaml"), load("gateway/inference-pool.yaml")
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        load("service.yaml")["spec"]["selector"],
        pool["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels for selector in selectors)
    target = load("autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert target["name"] == deployment["metadata"]["name"]
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert pool["spec"]["targetPorts"] == [{"number": port["containerPort"]}]
    assert f"--port={port['containerPort']}" in pod["spec"]["containers"][0]["args"]
    assert (pool["apiVersion"], pool["kind"]) == (
        "inference.networking.k8s.io/v1",
        "InferencePool",
    )
    jsonschema.validate(pool["spec"], POOL_SPEC)


def test_autoscaler_and_endpoint_picker_ask_for_metrics_that_there_are() -> None:
    files = ("autoscaler.yaml", "gateway/endpoint-picker.yaml")
    used = used_metrics("\n".join((K8S / name).read_text() for name in files))
    assert len(used) > 4
    assert used <= known_metrics()


def test_the_endpoint_picker_is_given_what_its_profile_names(pod) -> None:
    config = load("gateway/endpoint-picker.yaml")
    plugins = {plugin["type"]: plugin.get("parameters", {}) for plugin in config["plugins"]}
    (profile,) = config["schedulingProfiles"]
    assert {plugin["pluginRef"] for plugin in profile["plugins"]} <= plugins.keys()
    (engine,) = plugins["core-metrics-extractor"]["engineConfigs"]
    assert engine["name"] == pod["metadata"]["labels"]["llm-d.ai/engine-type"]
    read = {value for name, value in engine.items() if name.endswith("Spec")}
    assert read == set(plugins["metrics-data-source"]["families"])
