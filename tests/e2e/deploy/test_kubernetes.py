"""The pod of the manifest that is given to users, as the kubelet and a gateway see it."""

from __future__ import annotations

from typing import Any

import httpx
import yaml

from tests.support.endpoint_picker import read_load
from tests.support.scripts import REPOSITORY

K8S = REPOSITORY / "deploy/k8s"
KEYS = '[[keys]]\nkey = "sk-of-a-client"\n'
POD = {"Host": "10.1.2.3:8080"}
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}


def container() -> dict[str, Any]:
    manifest = yaml.safe_load((K8S / "deployment.yaml").read_text())
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_a_pod_answers_probes_gateways_and_clients_with_keys(make_server, run_dir):
    keys = run_dir / "keys.toml"
    keys.write_text(KEYS)
    pod = container()
    args = [arg for arg in pod["args"] if not arg.startswith(("--port", "--api-key-file"))]
    args += [f"--api-key-file={keys}", "--engine=fake", "--kernels=auto"]
    server = make_server(args).start()
    model = pod["args"][0]
    with httpx.Client(base_url=server.url, headers=POD, trust_env=False) as kubelet:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert kubelet.get(pod[probe]["httpGet"]["path"]).status_code == 200
        assert kubelet.post("/v1/chat/completions", json=CHAT).status_code == 401
        assert [each["id"] for each in kubelet.get("/v1/models").json()["data"]] == [model]
        picker = yaml.safe_load((K8S / "gateway/endpoint-picker.yaml").read_text())
        plugins = {plugin["type"]: plugin for plugin in picker["plugins"]}
        path = plugins["metrics-data-source"]["parameters"]["path"]
        (specs,) = plugins["core-metrics-extractor"]["parameters"]["engineConfigs"]
        load = read_load(kubelet.get(path).text, specs)
        assert (load.n_running, load.n_waiting, load.kv_usage) == (0, 0, 0.0)
        assert load.block_size == 64
        client = {"Authorization": "Bearer sk-of-a-client"}
        answer = kubelet.post("/v1/chat/completions", json=CHAT | {"model": model}, headers=client)
        assert answer.status_code == 200
        wrong = kubelet.post("/v1/chat/completions", json=CHAT | {"model": "x"}, headers=client)
        assert wrong.status_code == 404, "another model than the pool's"
