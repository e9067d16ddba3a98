"""The keywords of `fit` that an editor completes are the declared settings."""

from types import NoneType
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from striate.model import Model
from striate.train.keywords import FitSettings
from striate.train.settings import Settings, options

HINTS, DECLARED = get_type_hints(FitSettings), get_type_hints(Settings)
PLAIN = {bool, int, float, NoneType}


def parts(hint):
    """The types that a type is made of, the words of its Literals among them."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return {hint}.union(*map(parts, get_args(hint)))


def test_every_setting_is_a_keyword():
    assert list(HINTS) == [option.name for option in options() if option.name != "epochs"]
    assert not FitSettings.__required_keys__
    assert Model.fit.__annotations__["settings"] == "Unpack[FitSettings]"


@pytest.mark.parametrize("option", [o for o in options() if o.name != "epochs"], ids=lambda o: o.name)
def test_it_takes_what_the_setting_takes(option):
    ours, declared = parts(HINTS[option.name]), parts(DECLARED[option.name])
    also = {int} if option.name == "memory" else set()  # bytes
    assert ours & PLAIN == declared & PLAIN | also
    words = {part for part in ours if isinstance(part, str)}
    assert words == set(option.choices)
    assert (str in ours) == (str in declared and not words)
    for word in words:  # a word that is completed is taken
        several = get_origin(HINTS[option.name]) not in (Literal, None) and option.default == ()
        taken = [word] if several and float not in ours else word
        assert Settings().replace({option.name: taken})
