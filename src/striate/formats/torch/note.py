"""Pack a network into comments at the end of exported source, and unpack it.

Source cannot hold the names of nodes without a module, nor the spelling of a padding.
"""

from __future__ import annotations

import base64
import json
import textwrap
import zlib

from striate.formats.tokens import MAX_TEXT
from striate.network import Network

HEAD = "# The network in Striate's own form, which counts as long as nothing here is changed.\n"
_MARK, _WIDTH = "#: ", 85


def note(net: Network) -> str:
    """Pack a network into comments."""
    plain = json.dumps(net.to_dict(), separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(plain.encode(), 9)).decode()
    return HEAD + "".join(f"{_MARK}{line}\n" for line in textwrap.wrap(packed, _WIDTH))


def unpack(text: str) -> Network | None:
    """Unpack the network from the comments at the end of a text; None without such comments.

    Raises ValueError, zlib.error, StriateError, TypeError, KeyError, AttributeError or RecursionError for damaged ones.
    """
    _, head, rest = text.rpartition(HEAD)
    lines = rest.splitlines()
    if not head or not lines or not all(line.startswith(_MARK) for line in lines):
        return None
    packed = base64.b64decode("".join(line.removeprefix(_MARK) for line in lines), validate=True)
    return Network.from_dict(json.loads(zlib.decompressobj().decompress(packed, MAX_TEXT)))
