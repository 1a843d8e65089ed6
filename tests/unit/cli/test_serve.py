from __future__ import annotations

import errno
import io
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pyserve.backend.protocol import ModelStatus
from pyserve.cli import COMMANDS, main
from pyserve.cli.announce import Announcer, banner, describe, front_url, url_host
from pyserve.cli.listener import bind_listener, bind_unix, bound_listener, explain, listen
from pyserve.cli.plan import plan_models
from pyserve.cli.serve import serve
from pyserve.config import ServeConfig, read_config
from pyserve.errors import ErrorInfo, InvalidRequestError, UnavailableError
from tests.support.scripted_core import MODEL
from tests.support.server import short_dir

LOADING = ModelStatus(id="m", created=1, state="loading")
READY = ModelStatus(id="m", created=1, state="ready", info=MODEL, socket_path="/s")
FAILED = ModelStatus(
    id="m", created=1, state="failed", error=ErrorInfo(code="model_load_failed", message="no magic")
)


def test_every_setting_has_an_option():
    names = {parameter.name for parameter in serve.params}
    assert names - {"config_file"} == set(ServeConfig.model_fields)
    assert len(serve.params) == len(names)


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["--version"]])
def test_help(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def test_the_list_of_commands_is_printed_without_importing_them():
    code = (
        "import sys; from click.testing import CliRunner; from pyserve.cli import main;"
        "print(CliRunner().invoke(main, ['--help']).output);"
        "assert 'pydantic' not in sys.modules and 'gunicorn' not in sys.modules"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert all(name in output for name in COMMANDS)


def test_the_package_runs_as_a_program():
    command = [sys.executable, "-m", "pyserve", "--version"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.startswith("pyserve, version")


def test_unknown_commands_are_refused():
    assert CliRunner().invoke(main, ["no-such-command"]).exit_code == 2


def test_the_command_line_is_over_the_environment(monkeypatch):
    monkeypatch.setenv("PYSERVE_PORT", "1234")
    monkeypatch.setenv("PYSERVE_PARALLEL", "3")
    config = read_config({"port": 99})
    assert (config.port, config.parallel) == (99, 3)


def test_a_directory_is_the_models_directory(monkeypatch, tmp_path):
    configs: list[ServeConfig] = []
    monkeypatch.setattr("pyserve.cli.launch.launch", lambda config: configs.append(config) or 0)
    assert CliRunner().invoke(main, ["serve", str(tmp_path)]).exit_code == 0
    assert (configs[0].models_dir, configs[0].models) == (tmp_path, [])


def test_settings_of_llama_cpp_have_its_words():
    given = ("a=int:1,b=float:2", "c=str:x")
    config = read_config({"engine": "fake", "flash_attn": "False", "override_kv": given})
    (spec,) = plan_models(config)
    assert spec.engine.flash_attn == "off"
    assert [each.key for each in spec.engine.overrides] == ["a", "b", "c"]
    with pytest.raises(InvalidRequestError, match="--override-kv: 'a=x' is not KEY=TYPE:VALUE"):
        plan_models(read_config({"engine": "fake", "override_kv": ["a=x"]}))
    with pytest.raises(InvalidRequestError, match="--numa"):
        read_config({"numa": "everywhere"})


def test_bad_settings_are_named_as_options():
    with pytest.raises(InvalidRequestError, match="--batch-size") as caught:
        read_config({"batch_size": 0, "port": 70000, "log_level": "loud"})
    assert "--port" in caught.value.message
    assert "--log-level" in caught.value.message


@pytest.mark.parametrize("command", [["serve"], ["models"], ["pull", "x"]])
def test_bad_variables_are_named_by_every_command(monkeypatch, command):
    monkeypatch.setenv("PYSERVE_PORT", "abc")
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "Error: PYSERVE_PORT: " in result.output
    assert "Traceback" not in result.output


def test_what_the_system_refuses_is_told_without_a_traceback(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    result = CliRunner().invoke(main, ["serve", "--engine", "native", str(tmp_path / "loop")])
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ctx_size", 2**24 + 1),
        ("kv_size", 0),
        ("threads", 513),
        ("batch_size", 65537),
        ("queue_size", -1),
        ("prefix_cache_mib", -1),
        ("draft_max", -1),
        ("draft_min", -1),
        ("draft_p_min", 1.5),
        ("parallel", 129),
        ("load_timeout_s", 0),
        ("max_body_bytes", 0),
        ("socket_mode", "0o600"),
        ("api_prefix", "/a b"),
        ("api_prefix", "a//b"),
        ("trusted_proxy", ["proxy.example"]),
    ],
)
def test_values_that_no_engine_takes_are_refused_as_options(name, value):
    with pytest.raises(InvalidRequestError, match=f"^--{name.replace('_', '-')}: "):
        read_config({name: value})


def test_settings_survive_the_way_through_the_environment(monkeypatch):
    config = read_config({"models": ["a", "b"], "port": 5, "strict_model_names": True})
    for name, value in config.to_environ().items():
        monkeypatch.setenv(name, value)
    assert ServeConfig() == config


def test_the_fake_engine_needs_no_file():
    config = read_config({"engine": "fake", "models": ["a", "b"], "ctx_size": 64, "threads": 3})
    models = plan_models(config)
    assert [model.id for model in models] == ["a", "b"]
    engines = [model.engine for model in models]
    assert {(engine.n_ctx, engine.n_threads) for engine in engines} == {(64, 3)}


def test_a_taken_port_is_refused_with_a_way_out():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UnavailableError, match="--port") as caught:
            bind_listener("127.0.0.1", port)
    assert f"port {port} on 127.0.0.1 is taken" in caught.value.message


def test_port_0_takes_a_free_one_and_nobody_connects_before_listen():
    with bind_listener("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        assert address[1] > 0
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(address)
        listen(listener, "127.0.0.1")
        socket.create_connection(address).close()


def test_a_unix_socket_is_made_with_its_rights_and_removed(run_dir):
    config = ServeConfig(host=f"unix:{run_dir}/s", socket_mode="0620")
    path = run_dir / "s"
    with bound_listener(config) as listener:
        listen(listener, config.host)
        assert path.stat().st_mode & 0o777 == 0o620
        with pytest.raises(UnavailableError, match="served by another program"):
            bind_unix(path, 0o600)
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(run_dir):
    path = run_dir / "s"
    path.write_text("mine")
    with pytest.raises(UnavailableError, match="is no socket"):
        bind_unix(path, 0o600)
    assert path.read_text() == "mine"
    for bad in (run_dir / "none" / "s", run_dir / ("long" * 50)):
        with pytest.raises(UnavailableError, match="--host unix:"):
            bind_unix(bad, 0o600)


def test_a_socket_file_that_nobody_serves_is_taken_over(run_dir):
    bind_unix(run_dir / "s", 0o600).close()
    bind_unix(run_dir / "s", 0o600).close()


def test_an_address_that_does_not_exist():
    with pytest.raises(UnavailableError, match="--host"):
        bind_listener("no such host", 0)


@pytest.mark.parametrize(
    ("code", "port", "hint"),
    [
        (errno.EACCES, 80, "above 1023"),
        (errno.EADDRNOTAVAIL, 8080, "--host"),
        (errno.EADDRINUSE, 8080, "--port 0"),
        (errno.EPERM, 8080, "not permitted"),
    ],
)
def test_what_to_do_when_the_port_cannot_be_had(code, port, hint):
    assert hint in explain("127.0.0.1", port, OSError(code, "")).replace("Operation ", "")


@pytest.fixture
def run_dir():
    with short_dir() as path:
        yield path


@pytest.fixture
def streams():
    return io.StringIO(), io.StringIO()


def test_progress_then_the_banner_once(streams):
    out, err = streams
    announce = Announcer(ServeConfig(), out=out, err=err)
    for models, is_up in [([LOADING], False), ([LOADING], True), ([READY], True), ([READY], True)]:
        announce(models, is_up)
    assert out.getvalue().count("loading model m") == 1
    assert out.getvalue().count("pyserve is ready at http://127.0.0.1:8080") == 1
    assert err.getvalue() == ""


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "::1", "port": 1}, "http://[::1]:1"),
        ({"api_prefix": "llm/", "ssl_cert_file": "c"}, "https://127.0.0.1:8080/llm"),
        ({"host": "unix:/run/s", "api_prefix": "/a/b"}, "http://localhost/a/b"),
    ],
)
def test_the_banner_has_the_url_of_the_front(settings, url):
    config = read_config(settings)
    assert front_url(config) == url
    text = banner(url, [READY], config.socket_path)
    assert f"{url}/v1/chat/completions" in text
    assert ("curl --unix-socket /run/s " in text) is (config.socket_path is not None)


def test_no_banner_before_the_front_is_up(streams):
    out, err = streams
    Announcer(ServeConfig(), out=out, err=err)([READY], False)
    assert "ready at" not in out.getvalue()


def test_failures_go_to_stderr(streams):
    out, err = streams
    Announcer(ServeConfig(), out=out, err=err)([FAILED], True)
    assert "model m: failed: no magic" in err.getvalue()
    assert "get it again" in err.getvalue()
    assert out.getvalue() == ""


def test_a_closed_terminal_does_no_harm(streams):
    out, err = streams
    out.close()
    Announcer(ServeConfig(), out=out, err=err)([READY], True)


def test_what_is_said_about_a_model():
    assert "quantization none" in describe(READY)
    assert "context 128 tokens" in describe(READY)
    assert "1 threads" in describe(READY)
    again = ModelStatus(id="m", created=1, state="loading", n_restarts=1)
    assert "again" in describe(again)
    assert describe(ModelStatus(id="m", created=1, state="stopped")) == "model m: stopped"


def test_the_curl_line_is_quoted_for_the_shell():
    status = ModelStatus(id="it's", created=1, state="ready", info=MODEL)
    assert "it'\"'\"'s" in banner("http://h:1", [status])
    assert "Bearer" not in banner("http://h:1", [status])
    assert '-H "Authorization: Bearer KEY"' in banner("http://h:1", [status], has_keys=True)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")],
)
def test_hosts_in_urls(host, shown):
    assert url_host(host) == shown
