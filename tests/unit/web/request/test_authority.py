from __future__ import annotations

import pytest

from pyserve.web.request.authority import (
    Asked,
    asked_for,
    host_name,
    is_same_origin,
    is_trusted,
    prefix_before,
)
from pyserve.web.request.refusal import MalformedRequestError

PROXY = {"REMOTE_ADDR": "10.0.0.7", "HTTP_HOST": "backend:8080"}
TRUSTED = ["10.0.0.0/8", "unix"]


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://localhost:8080", "localhost:8080", ""),
        ("http://localhost", "localhost:80", ""),
        ("http://localhost:80", "LOCALHOST", "http"),
        ("https://llm.example", "llm.example", ""),  # a proxy ended the TLS
        ("https://llm.example", "llm.example:443", "https"),
        ("https://llm.example:443", "llm.example", "https"),
        ("http://[::1]:8080", "[::1]:8080", ""),
        ("http://LLM.example", "llm.example", ""),
    ],
)
def test_equal_hosts_and_ports_are_one_origin(origin, host, scheme):
    assert is_same_origin(origin, Asked((host,), scheme))


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://localhost:3000", "localhost:8080", ""),
        ("http://localhost:3000", "localhost", ""),
        ("http://localhost", "localhost:443", ""),
        ("https://localhost", "localhost:80", ""),
        ("http://llm.example", "llm.example", "https"),
        ("https://llm.example", "llm.example", "http"),
        ("http://evil.example", "llm.example", ""),
        ("http://llm.example.evil", "llm.example", ""),
        ("ftp://llm.example", "llm.example", ""),
        ("llm.example", "llm.example", ""),
        ("null", "null", ""),
        ("http://", "", ""),
        ("http://[", "[", ""),
        ("http://localhost:" + "8" * 5000, "localhost:8080", ""),
    ],
)
def test_others_are_not(origin, host, scheme):
    assert not is_same_origin(origin, Asked((host,) if host else (), scheme))


@pytest.mark.parametrize(
    ("headers", "authority", "scheme"),
    [
        ({}, "backend:8080", ""),
        ({"HTTP_X_FORWARDED_HOST": "llm.example"}, "llm.example", ""),
        (
            {"HTTP_X_FORWARDED_HOST": "x, llm.example", "HTTP_X_FORWARDED_PROTO": "HTTPS"},
            "llm.example",
            "https",
        ),
        (
            {"HTTP_X_FORWARDED_HOST": "llm.example", "HTTP_X_FORWARDED_PORT": "8443"},
            "llm.example:8443",
            "",
        ),
        (
            {"HTTP_X_FORWARDED_HOST": "llm.example:1", "HTTP_X_FORWARDED_PORT": "2"},
            "llm.example:1",
            "",
        ),
        ({"HTTP_X_FORWARDED_PORT": "8443"}, "backend:8080", ""),
        (
            {"HTTP_FORWARDED": 'for=1;host=x, For=2; Host="llm.example:8443";proto=https'},
            "llm.example:8443",
            "https",
        ),
        ({"HTTP_X_FORWARDED_PROTO": "gopher"}, "backend:8080", ""),
    ],
)
def test_a_trusted_proxy_tells_name_and_scheme(headers, authority, scheme):
    asked = asked_for(PROXY | headers, TRUSTED)
    assert (asked.authority, asked.scheme) == (authority, scheme)
    assert asked.names[0] == "backend:8080"
    assert asked_for(PROXY | headers, []) == Asked(("backend:8080",))


def test_a_whole_url_counts_more_than_the_header_and_tls_is_known():
    environ = {"HTTP_HOST": "a", "RAW_URI": "http://b:1/v1", "wsgi.url_scheme": "https"}
    assert asked_for(environ, []) == Asked(("a", "b:1"), "https")


def test_the_host_is_demanded_as_http_does():
    for environ in ({}, {"HTTP_HOST": "a b"}, {"HTTP_HOST": "a/b"}):
        with pytest.raises(MalformedRequestError):
            asked_for({"SERVER_PROTOCOL": "HTTP/1.1"} | environ, [])
    assert asked_for({"SERVER_PROTOCOL": "HTTP/1.0"}, []) == Asked(())


@pytest.mark.parametrize(
    ("peer", "trusted", "is_ours"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("fd00::1", ["10.0.0.0/8", "fd00::/8"], True),
        ("127.0.0.1", ["10.0.0.0/8"], False),
        ("127.0.0.1", [], False),
        ("", ["127.0.0.1"], False),
        ("", ["unix"], True),
        ("fe80::1%eth0", ["10.0.0.0/8"], False),
        ("nonsense", ["0.0.0.0/0"], False),
    ],
)
def test_trust_is_by_address_network_or_unix_socket(peer, trusted, is_ours):
    assert is_trusted(peer, trusted) is is_ours


def test_the_name_has_no_port_and_no_case():
    assert [host_name(each) for each in ("A:1", "[::1]:2", "", "[")] == ["a", "::1", "", ""]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("/llm", "/llm"),
        ("/a/b.c/", "/a/b.c"),
        ("/evil, /llm", "/llm"),
        ("", ""),
        ("llm", ""),
        ("//evil.example", ""),
        ("/..", ""),
        ("/x?y", ""),
        ('/"><script>', ""),
        ("/" + "x" * 300, ""),
    ],
)
def test_what_a_trusted_proxy_has_cut_off_is_known(said, expected):
    asked = {**PROXY, "HTTP_X_FORWARDED_PREFIX": said}
    assert prefix_before(asked, TRUSTED) == expected
    assert prefix_before(asked, []) == ""
