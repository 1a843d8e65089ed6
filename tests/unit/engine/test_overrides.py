from __future__ import annotations

import msgspec
import pytest

from pyserve.engine.config import EngineConfig, Override
from pyserve.engine.overrides import override_values, parse_override


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=int:-7", -7),
        ("a.b=float:1e4", 10_000.0),
        ("a.b=bool:true", True),
        ("a.b=bool:false", False),
        ("a.b=str:x=y:z", "x=y:z"),
        ("a.b=str:", ""),
    ],
)
def test_each_type_is_read(text: str, value: object) -> None:
    override = parse_override(text)
    assert override == Override("a.b", value)
    assert type(override.value) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a=1", "=int:1", "a=long:1", "a=int:", "a=int:1.5", "a=int:1_0", "a b=int:1",
        f"a=int:{2**63}", "a=float:x", "a=float:nan", "a=float:inf", "a=bool:yes", "a=bool:True",
        f"a=str:{'x' * 128}", f"{'x' * 128}=int:1", f"a=str:{'ä' * 64}",
    ],
)  # fmt: skip
def test_a_bad_one_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'") as caught:
        parse_override(text)
    assert repr(text[:80]) in str(caught.value)


def test_of_several_for_one_key_the_first_counts() -> None:
    overrides = [Override("a", 1), Override("b", 2), Override("a", 3)]
    assert override_values(overrides) == {"a": 1, "b": 2}


def test_types_survive_the_way_to_the_engine() -> None:
    overrides = tuple(parse_override(f"a={value}") for value in ("float:5", "int:5", "bool:true"))
    config = EngineConfig(model_id="m", model_path="", overrides=overrides)
    decoded = msgspec.json.decode(msgspec.json.encode(config), type=EngineConfig)
    assert [type(each.value) for each in decoded.overrides] == [float, int, bool]
