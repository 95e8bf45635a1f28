"""Objects of their fields, as frozen dataclasses are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pytest

from podlab.frozen import Frozen


class Route(Frozen):
    to: str
    via: str = ""
    kind: ClassVar[str] = "route"


class Tagged(Route):
    tags: Mapping[str, str] = MappingProxyType({})


def test_fields_are_given_by_place_or_by_name_and_have_defaults() -> None:
    assert (Route("a", "b").to, Route("a", via="b").via, Route(to="a").via) == ("a", "b", "")
    assert Tagged("a", tags={"x": "y"}).tags == {"x": "y"}
    assert Tagged("a").tags == {}
    assert repr(Tagged("a")) == "Tagged(to='a', via='', tags=mappingproxy({}))"


@pytest.mark.parametrize("wrong", [lambda: Route(), lambda: Route("a", "b", "c"), lambda: Route("a", to="a"), lambda: Route("a", kind="b")])  # type: ignore[call-arg]  # fmt: skip
def test_it_is_made_with_its_fields_and_nothing_else(wrong) -> None:
    with pytest.raises(TypeError):
        wrong()


def test_it_is_what_its_fields_are_and_stays_so() -> None:
    assert Route("a") == Route("a", "")
    assert Route("a") != Route("b")
    assert Route("a") != Tagged("a")
    assert len({Route("a"), Route("a"), Route("a", "b")}) == 2
    with pytest.raises(AttributeError):
        Route("a").to = "b"  # type: ignore[misc]
