"""What the three importers share: the exception that means "unsupported", and the error for a fault of their own.

A rule of an importer raises `Unknown`, or a StriateError of the op that it places, for a use without a counterpart:
the operator becomes an opaque node that keeps the reason. Any other exception is a fault of the rule.
"""

from __future__ import annotations

from striate.diagnostics import InternalError, StriateError

STEEP = 3e38
"""A slope that lifts every normal float32 to 1 or more, and does not overflow at 1."""
WHY_MAX = 300
"""Characters of a reason that are kept."""


class Unknown(Exception):
    """This use of an operator is unsupported; the message says why."""


def reason(error: Unknown | StriateError) -> str:
    """Why an operator became opaque, on one line."""
    text = error.what if isinstance(error, StriateError) else str(error)
    return " ".join(text.split())[:WHY_MAX]


def fault(operator: str, where: str, error: Exception) -> InternalError:
    """The error for a rule that failed instead of raising Unknown."""
    return InternalError(
        f"reading {operator} failed: {type(error).__name__}: {str(error)[:200]}",
        where=where,
        why=f"this is a fault of Striate: its rule for {operator} does not cover this use",
        fix="report it, with the file or the source lines of the operator",
    )
