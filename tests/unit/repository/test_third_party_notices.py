"""THIRD_PARTY_NOTICES.md names the packages that are installed with pyserve, and their licences."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.scripts import REPOSITORY

ROW = re.compile(r"^\| (\w[\w.-]*) \| ([\w. -]+) \|$", re.MULTILINE)


def installed_with_pyserve() -> dict[str, Distribution]:
    """Its dependencies and theirs, by name, without those of another system or Python."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in project["dependencies"]]
    found: dict[str, Distribution] = {}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_needed and name not in found:
            found[name] = distribution(name)
            waiting += [Requirement(line) for line in found[name].requires or []]
    return found


def noticed() -> dict[str, str]:
    """The licences of the table of packages, by name."""
    text = (REPOSITORY / "THIRD_PARTY_NOTICES.md").read_text()
    table = text.partition("| package | licence |")[2].partition("\n\n")[0]
    return {canonicalize_name(name): licence for name, licence in ROW.findall(table)}


def test_each_package_that_is_installed_is_named_and_no_other() -> None:
    assert noticed().keys() == installed_with_pyserve().keys()


def test_the_licences_are_those_of_the_packages() -> None:
    for name, package in installed_with_pyserve().items():
        fields = ("License-Expression", "License", "Classifier")
        stated = " ".join(text for field in fields for text in package.metadata.get_all(field, []))
        family = noticed()[name].partition("-")[0]
        assert family in stated, (name, stated)
