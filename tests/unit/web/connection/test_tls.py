"""The files of TLS; a server with them is in `tests/e2e/web/test_doors.py`."""

from __future__ import annotations

import pytest

from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError
from pyserve.web.connection.tls import check_tls


def test_without_files_there_is_none():
    check_tls(ServeConfig())


@pytest.mark.parametrize("name", ["ssl_cert_file", "ssl_key_file"])
def test_one_file_is_not_enough(name):
    with pytest.raises(InvalidRequestError, match="both --ssl-cert-file and --ssl-key-file"):
        check_tls(ServeConfig(**{name: "x.pem"}))


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_files_that_are_none_are_named(tmp_path, text):
    path = tmp_path / "x.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidRequestError, match=str(path)):
        check_tls(ServeConfig(ssl_cert_file=path, ssl_key_file=path))
