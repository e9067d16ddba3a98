"""Images and labels: readers that report what they found, seeded order, recorded transformations.

Nothing that is read is executed or unpacked to disk, and every size is checked before memory is allocated.
Parts load on first use.
"""

from striate import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, __loader__)
