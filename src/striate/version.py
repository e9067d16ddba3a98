"""The version of Striate: the package, its metadata and all reports read it here."""

__version__ = "0.1.0"
