"""Images and labels from wherever they are: readers that say what they found, seeded order, recorded transformations.

Nothing read here is executed, unpacked to disk or trusted: every size is checked before memory is asked for.
Parts load on first use.
"""

from striate import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, __loader__)
