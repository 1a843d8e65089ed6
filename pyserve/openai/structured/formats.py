"""Formats of strings as regular expressions (JSON Schema Validation 7.3), or a part of them.

Only what every validator takes: no leap seconds, hosts without underscores.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pyserve.openai.structured.regex_tree import Tree, parsed_regex

_LEAP_YEAR = r"(?:[12]\d(?:0[48]|[2468][048]|[13579][26])|(?:1[26]|2[048])00)"
_DATE = (
    r"(?:[12]\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_HOUR = r"(?:[01]\d|2[0-3])"
_TIME = rf"{_HOUR}:[0-5]\d:[0-5]\d(?:\.\d{{1,6}})?(?:Z|[-+]{_HOUR}:[0-5]\d)"
_N = r"\d{1,6}"
_DAYS = rf"(?:{_N}Y(?:{_N}M(?:{_N}D)?)?|{_N}M(?:{_N}D)?|{_N}D)"
_CLOCK = rf"T(?:{_N}H(?:{_N}M(?:{_N}S)?)?|{_N}M(?:{_N}S)?|{_N}S)"
_DURATION = rf"P(?:{_N}W|{_DAYS}(?:{_CLOCK})?|{_CLOCK})"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d{2}|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_H = "[0-9A-Fa-f]{1,4}"
_IPV6 = (
    rf"(?:(?:{_H}:){{7}}{_H}|(?:{_H}:){{1,7}}:|(?:{_H}:){{1,6}}:{_H}"
    rf"|(?:{_H}:){{1,5}}(?::{_H}){{1,2}}|(?:{_H}:){{1,4}}(?::{_H}){{1,3}}"
    rf"|(?:{_H}:){{1,3}}(?::{_H}){{1,4}}|(?:{_H}:){{1,2}}(?::{_H}){{1,5}}"
    rf"|{_H}:(?::{_H}){{1,6}}|:(?:(?::{_H}){{1,7}}|:))"
)
_LABEL = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}"
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL}){{0,3}}"
_EMAIL = (
    rf"[A-Za-z0-9](?:[-._+]?[A-Za-z0-9]){{0,30}}@{_LABEL}(?:\.{_LABEL}){{0,2}}\.[A-Za-z]{{2,12}}"
)
_PCHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_PATH = rf"(?:\/{_PCHAR}*)*(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?"
_URI = (
    rf"(?:[a-z][a-z0-9]{{1,11}}:\/\/{_HOSTNAME}(?::\d{{1,4}})?{_PATH}|mailto:{_EMAIL}"
    rf"|urn:[a-z0-9]{{2,16}}:{_PCHAR}+)"
)
_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
FORMATS: Mapping[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": _DURATION,
    "email": _EMAIL,
    "idn-email": _EMAIL,
    "hostname": _HOSTNAME,
    "idn-hostname": _HOSTNAME,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uuid": _UUID,
    "uri": _URI,
    "iri": _URI,
    "uri-reference": f"(?:{_URI}|{_PCHAR}+{_PATH}|{_PATH})".replace(rf"{_PCHAR}+", r"[a-z0-9_~.]+"),
    "json-pointer": r"(?:\/(?:[^\x00-\x1f~\/]|~[01])*)*",
}
ANY_STRING = frozenset({"password", "binary", "byte", "char", "string"})
# Of OpenAPI, for numbers: the integers of these many bits, with a sign or without.
NUMBER_FORMATS: Mapping[str, tuple[int, int] | None] = {
    **{f"int{n}": (-(1 << (n - 1)), (1 << (n - 1)) - 1) for n in (8, 16, 32, 64)},
    **{f"uint{n}": (0, (1 << n) - 1) for n in (8, 16, 32, 64)},
    "float": None,
    "double": None,
    "decimal": None,
}


@cache
def format_tree(name: str) -> Tree:
    """What a text of this format matches. REQUIRES: name in FORMATS."""
    return parsed_regex(f"^{FORMATS[name]}$")
