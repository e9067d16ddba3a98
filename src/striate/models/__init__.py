"""The catalogue of published networks, one family per file in this folder."""

import sys
from typing import Any

from striate import lazy
from striate.diagnostics import no_attribute
from striate.models.catalogue import Entry, Family, Image, create, entries, get, instead, list_models, model

__all__ = ["Entry", "Family", "Image", "create", "entries", "get", "list_models", "model"]

sys.modules[__name__].__class__ = lazy.Package


def __getattr__(name: str) -> Any:
    raise no_attribute(__name__, name, "", instead(__name__, name))
