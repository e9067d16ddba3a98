"""The keywords of `fit` that an editor completes are the declared settings."""

from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from striate.model import Model
from striate.train.keywords import FitSettings
from striate.train.settings import Settings, options

HINTS = get_type_hints(FitSettings)
KINDS = {"whole": int, "number": float, "flag": bool}


def test_every_setting_is_a_keyword():
    assert list(HINTS) == [option.name for option in options() if option.name != "epochs"]
    assert not FitSettings.__required_keys__
    assert Model.fit.__annotations__["settings"] == "Unpack[FitSettings]"


@pytest.mark.parametrize("option", [o for o in options() if o.name != "epochs"], ids=lambda o: o.name)
def test_it_takes_what_the_setting_takes(option):
    hint = HINTS[option.name]
    arms = set(get_args(hint)) if get_origin(hint) not in (Literal, None) else {hint}
    words = {word for arm in (hint, *arms) for word in _words(arm)}
    assert words == set(option.choices)
    if option.kind in KINDS:
        assert KINDS[option.kind] in (hint, *arms)
        assert (type(None) in arms) == (option.default is None)
    for word in words:  # every word that is completed is taken
        value = [word] if option.kind == "words" else word
        assert Settings().replace({option.name: value})


def _words(hint):
    """The words of Literals anywhere in a type."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return {word for one in get_args(hint) for word in _words(one)}
