"""Facts of a whole network, derived from its declarations: sizes, fields, pixel use, cost, memory.

Each command needs few of these: they load on first use.
"""

import sys

from striate import lazy

sys.modules[__name__].__class__ = lazy.Package

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, __loader__)
