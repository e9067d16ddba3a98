"""Networks that Striate wrote as PyTorch source, found again in their file: without torch, and without running it.

Source has no place for the names of nodes without a module, nor for how a padding was worded. So the file ends in the
network itself, packed into comments. They count only if writing that network again gives exactly this file; one that
somebody has changed is read like any other.
"""

from __future__ import annotations

import base64
import json
import textwrap
import zlib

from striate.diagnostics import StriateError
from striate.formats.tokens import MAX_TEXT
from striate.network import Network

HEAD = "# The network in Striate's own form, which counts as long as nothing here is changed.\n"
_MARK, _WIDTH = "#: ", 85


def note(net: Network) -> str:
    """The comments that stand for a network."""
    plain = json.dumps(net.to_dict(), separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(plain.encode(), 9)).decode()
    return HEAD + "".join(f"{_MARK}{line}\n" for line in textwrap.wrap(packed, _WIDTH))


def network(text: str) -> Network | None:
    """The network that the text of a file was written from; None where it was not, or is not what was written."""
    from striate.formats.torch.source import source

    _, head, rest = text.replace("\r\n", "\n").rpartition(HEAD)
    lines = rest.splitlines()
    if not head or not lines or not all(line.startswith(_MARK) for line in lines):
        return None
    try:
        packed = base64.b64decode("".join(line.removeprefix(_MARK) for line in lines), validate=True)
        plain = zlib.decompressobj().decompress(packed, MAX_TEXT)
        net = Network.from_dict(json.loads(plain))
        plain_text, several = text.replace("\r\n", "\n"), len(net.inputs) > 1
        same = source(net) == plain_text or (several and source(net, named=False) == plain_text)
        return net if same else None
    except (ValueError, zlib.error, StriateError, TypeError, KeyError, AttributeError, RecursionError):
        return None
