"""The catalogue of networks, which is the history of the field: one family per file in this folder."""

from striate.models.catalogue import Entry, Family, Image, create, entries, get, list_models, model

__all__ = ["Entry", "Family", "Image", "create", "entries", "get", "list_models", "model"]
