"""Networks that Striate wrote as PyTorch source, found again in their file: without torch, and without running it.

The network in the comments of a file counts only if writing it again gives exactly this file; one that somebody has
changed is read like any other.
"""

from __future__ import annotations

import zlib

from striate.diagnostics import StriateError
from striate.formats.torch.note import unpacked
from striate.network import Network


def network(text: str) -> Network | None:
    """The network that the text of a file was written from; None where it was not, or is not what was written."""
    from striate.formats.torch.source import source

    text = text.replace("\r\n", "\n")
    try:
        net = unpacked(text)
        if net is None:
            return None
        several = len(net.inputs) > 1
        return net if source(net) == text or (several and source(net, named=False) == text) else None
    except (ValueError, zlib.error, StriateError, TypeError, KeyError, AttributeError, RecursionError):
        return None
