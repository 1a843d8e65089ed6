"""The server behind the nginx configuration that is given to users."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.scripts import REPOSITORY
from tests.support.server import ServerProcess, free_port, wait_until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
HOST = "llm.example"
TIMEOUT_S = 60.0
MAIN = """\
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    include {folder}/pyserve.conf;
}}
"""
pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx here")


@pytest.fixture
def proxied(run_dir: Path, make_server) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A client of nginx, and nginx."""
    args = ["--engine", "fake", "--kernels", "auto", "--trusted-proxy", "127.0.0.1"]
    server: ServerProcess = make_server([*args, "--allowed-host", HOST]).start()
    port = free_port()
    text = (REPOSITORY / "deploy/nginx/pyserve.conf").read_text()
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    text = text.replace("server 127.0.0.1:8080;", f"server 127.0.0.1:{server.port};")
    (run_dir / "pyserve.conf").write_text(text)
    (run_dir / "nginx.conf").write_text(MAIN.format(folder=run_dir))
    assert NGINX is not None
    nginx = subprocess.Popen([NGINX, "-p", str(run_dir), "-c", str(run_dir / "nginx.conf")])
    headers = {"Host": f"{HOST}:{port}", "Origin": f"http://{HOST}:{port}"}
    url = f"http://127.0.0.1:{port}"
    # A connection each: nginx closes the idle ones when it reads its configuration again, at times
    # when the next request is already on its way.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(
        base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False, limits=limits
    ) as client:

        def answers() -> bool:
            try:
                return client.get("/livez").is_success
            except httpx.HTTPError:
                return False

        try:
            wait_until(answers, TIMEOUT_S, "nginx passes requests on")
            yield client, nginx
        finally:
            nginx.terminate()
            nginx.wait(TIMEOUT_S)


def body(content: str, **fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}], **fields}


def test_streams_bodies_hosts_and_reloads_pass_through(
    proxied: tuple[httpx.Client, subprocess.Popen[bytes]],
) -> None:
    client, nginx = proxied
    path = "/v1/chat/completions"
    # 1. Tokens come as they are said: this answer never ends by itself.
    with client.stream("POST", path, json=body("one #hold=1 two", stream=True)) as response:
        assert response.status_code == 200
        assert any("one" in line for line in response.iter_lines())
    # 2. Bodies beyond nginx's own default of 1 MiB.
    large = client.post("/tokenize", json={"content": "word " * 400_000})
    assert large.status_code in (200, 400), large.text
    assert "nginx" not in large.text
    # 3. A host with a port, and pages of it.
    assert client.post(path, json=body("one two")).status_code == 200
    other = client.post(path, json=body("one"), headers={"Origin": "http://evil.example"})
    assert other.status_code == 403
    # 4. nginx reads its configuration again.
    nginx.send_signal(1)
    for _ in range(20):
        assert client.post(path, json=body("one two")).status_code == 200
