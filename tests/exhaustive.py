"""Tests that take minutes run a part of what they could: `STRIATE_EXHAUSTIVE=1` runs all of it.

`.ci/exhaustive` lists those that `.ci/run` runs in full each time.
"""

import os

EXHAUSTIVE = bool(os.environ.get("STRIATE_EXHAUSTIVE"))
