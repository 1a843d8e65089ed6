from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.cli.cpu import cpu_name

_ARM = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: {}\nCPU part\t: {}\n"


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC\n\nmodel name\t: other\n", "AMD EPYC"),
        (_ARM.format("0x41", "0xd0b"), "Cortex-A76"),
        (_ARM.format("0x41", "0xfff"), "ARM CPU, implementer 0x41, part 0xfff"),
        ("processor\t: 0\n", "unknown CPU"),
    ],
)
def test_a_cpu_is_named_by_what_linux_says(tmp_path: Path, facts: str, name: str):
    (tmp_path / "cpuinfo").write_text(facts)
    assert cpu_name(tmp_path / "cpuinfo") == name
