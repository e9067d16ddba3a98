"""The version, in one place: the package, its metadata and every report that names it read it here."""

__version__ = "0.1.0"
