"""Training: losses, optimizers, the loop, run folders, and the readers of data (`train.data`). Parts load on use."""

import sys

from striate import lazy

sys.modules[__name__].__class__ = lazy.Package
