"""Recover networks from PyTorch source that Striate wrote, without torch and without running it.

The network in the comments counts only if writing it gives exactly this file; a file that was changed is read like any
other.
"""

from __future__ import annotations

import zlib

from striate.diagnostics import StriateError
from striate.formats.torch.note import unpack
from striate.network import Network


def network(text: str) -> Network | None:
    """Recover the network from the text of a file; None if Striate did not write it, or it was changed since."""
    from striate.formats.torch.python_source import source

    text = text.replace("\r\n", "\n")
    try:
        net = unpack(text)
        if net is None:
            return None
        several = len(net.inputs) > 1
        return net if source(net) == text or (several and source(net, named=False) == text) else None
    except (ValueError, zlib.error, StriateError, TypeError, KeyError, AttributeError, RecursionError):
        return None
