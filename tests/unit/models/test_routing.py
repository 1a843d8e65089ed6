from __future__ import annotations

import pytest

from pyserve.errors import InvalidRequestError, ModelNotFoundError
from pyserve.models.routing import Names, resolve

TWO = ["a/b:c", "d"]


@pytest.mark.parametrize(
    ("requested", "bearer", "available", "answers"),
    [
        ("d", None, TWO, "d"),
        ("d", "a/b:c", TWO, "d"),
        (None, "a/b:c", TWO, "a/b:c"),
        ("", "d", TWO, "d"),
        (None, None, ["only"], "only"),
        ("unknown", None, ["only"], "only"),
        ("unknown", "token", ["only"], "only"),
    ],
)
def test_the_model_that_answers(requested, bearer, available, answers):
    assert resolve(requested, bearer, Names(available)) == answers


def test_case_counts_where_it_makes_a_difference_alone():
    names = Names(["Tiny-Q4", "b", "B"], [("Mine", "Tiny-Q4"), ("B*", "b"), ("old", "gone")])
    for name in ("tiny-q4", "TINY-Q4:Latest", "MINE", "mine:latest"):
        assert names.find(name) == "Tiny-Q4"
    assert (names.find("b"), names.find("B")) == ("b", "B")
    assert names.find("OLD") is None
    assert Names(["b", "B"]).find("b:LATEST") == "b"
    assert Names(["ab", "aB"]).find("AB") is None


def test_an_unknown_name_among_several_is_not_found_and_they_are_listed():
    with pytest.raises(ModelNotFoundError, match="a/b:c, d"):
        resolve("unknown", "d", Names(TWO))


@pytest.mark.parametrize("bearer", [None, "sk-no-model"])
def test_no_name_among_several_is_a_mistake_of_the_request(bearer):
    with pytest.raises(InvalidRequestError, match="a/b:c, d") as caught:
        resolve(None, bearer, Names(TWO))
    assert caught.value.param == "model"


def test_strict_names_do_not_fall_back():
    with pytest.raises(ModelNotFoundError):
        resolve("unknown", None, Names(["only"]), strict=True)
    assert resolve(None, None, Names(["only"]), strict=True) == "only"


@pytest.mark.parametrize("requested", [None, "x"])
def test_without_models_nothing_is_found(requested):
    with pytest.raises(ModelNotFoundError):
        resolve(requested, None, Names([]))


def test_a_long_list_is_cut():
    with pytest.raises(ModelNotFoundError) as caught:
        resolve("x", None, Names([f"model-{i}" for i in range(1000)]))
    assert len(caught.value.message) < 400


def test_a_token_names_a_model_exactly_or_not_at_all():
    names = Names(TWO, [("*", "d"), ("alias", "d")], {"": "a/b:c"})
    assert resolve("sk-1", None, names) == "d"
    assert resolve(None, "sk-1", names) == "a/b:c"
    assert resolve(None, "alias", names) == "d"
