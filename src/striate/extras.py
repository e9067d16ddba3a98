"""The command that installs an optional part of Striate."""

from __future__ import annotations


def install_command(*parts: str, upgrade: bool = False) -> str:
    """`pip install` with these optional parts: of the clone where Striate is installed from one, else by its name.

    >>> install_command("torch") in ("pip install '.[torch]'", "pip install 'striate[torch]'")
    True
    """
    package = "." if _from_clone() else "striate"
    return f"pip install {'-U ' if upgrade else ''}'{package}[{','.join(parts)}]'"


def _from_clone() -> bool:
    """Whether the package was installed from a folder, or runs without being installed."""
    import json  # only a message needs it
    from importlib import metadata

    try:
        origin = metadata.distribution("striate").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return True
    return bool(origin) and "dir_info" in json.loads(origin or "{}")
