"""The catalogue of published networks, one family per file in this folder."""

from typing import Any

from striate.diagnostics import no_attribute
from striate.models.catalogue import Entry, Family, Image, create, entries, get, instead, list_models, model

__all__ = ["Entry", "Family", "Image", "create", "entries", "get", "list_models", "model"]


def __getattr__(name: str) -> Any:
    raise no_attribute(__name__, name, "", instead(__name__, name))
