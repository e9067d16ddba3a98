"""Code shared by the three importers: the exception for unsupported uses, and the error for importer bugs.

An importer's rule raises `Unknown`, or a StriateError of the op that it places, if Striate has no counterpart for a
use. The operator then becomes an opaque node that keeps the reason. Any other exception is a bug in the rule.
"""

from __future__ import annotations

from striate.diagnostics import InternalError, StriateError

STEEP = 3e38
"""A slope that maps every normal float32 to 1 or more without overflow at 1."""
WHY_MAX = 300
"""Maximum characters of a reason."""


class Unknown(Exception):
    """Unsupported use of an operator; the message says why."""


def reason(error: Unknown | StriateError) -> str:
    """Why an operator became opaque, on one line."""
    text = error.what if isinstance(error, StriateError) else str(error)
    return " ".join(text.split())[:WHY_MAX]


def fault(operator: str, where: str, error: Exception) -> InternalError:
    """The error for a rule that crashed instead of raising Unknown."""
    return InternalError(
        f"reading {operator} failed: {type(error).__name__}: {str(error)[:200]}",
        where=where,
        why=f"this is a bug in Striate: its rule for {operator} does not handle this use",
        fix="report it with the file, or with the source lines of the operator",
    )
