"""`--ssl-cert-file`, `--ssl-key-file`: the TLS of the front.

A worker reads the files when it begins to serve, so that a reload of the front serves new ones.
"""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError

PROTOCOLS = ["http/1.1"]
PLAIN_HTTP = "HTTP_REQUEST"  # OpenSSL's name of what a client without TLS sends


def check_tls(config: ServeConfig) -> None:
    """Raises InvalidRequestError if the files cannot be used, or one of them is missing."""
    pair = config.ssl_cert_file, config.ssl_key_file
    if pair == (None, None):
        return
    if None in pair:
        raise InvalidRequestError("give both --ssl-cert-file and --ssl-key-file, or neither")
    make_context(*map(str, pair))


def make_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    """A context for TLS 1.2 and later. Raises InvalidRequestError that names the files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(PROTOCOLS)
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF  # HTTP has its own ends of requests
    cert, key = Path(cert_file).expanduser(), Path(key_file).expanduser()
    try:
        # Without a password OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise InvalidRequestError(
            f"--ssl-cert-file {cert_file}, --ssl-key-file {key_file}: cannot be used: {error}"
        ) from error
    return context


# Of this worker: processes are forked before they serve.
worker_context = functools.cache(make_context)
