"""Calls that do not fit a signature: the error names the argument, what it takes, and the nearest name.

Nothing is checked before a call. If one fails with an error of Python's own, its arguments are compared with the
annotations, so a call that works costs nothing. An annotation that cannot be resolved in the function's module allows
everything but plain values.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from striate import elsewhere
from striate.diagnostics import StriateError, UsageError, few, suggest

P = ParamSpec("P")
R = TypeVar("R")

OF_PYTHON = (TypeError, AttributeError, LookupError, ValueError, ArithmeticError)
"""Errors that a wrong argument can cause."""

WORDS: Mapping[str, str] = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "True or False", "None": "None",
    "Any": "anything", "Path": "a path", "Callable": "a function", "Array": "an array", "NDArray": "an array",
    "Config": "a CheckConfig",
}  # fmt: skip
"""Name in an annotation -> words."""
SEQUENCES = ("Sequence", "tuple", "list", "Iterable", "Collection")
SEVERAL: Mapping[str, str] = {
    "a text": "texts", "a whole number": "whole numbers", "a number": "numbers",
}  # fmt: skip
PLAIN = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range)


def explain_misuse(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function: wrong arguments, and those of other frameworks, raise UsageError with what to write."""
    table = elsewhere.ARGUMENTS.get(function.__qualname__, {})

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs and not table.keys().isdisjoint(kwargs):
            name = next((one for one in args if isinstance(one, str)), "")
            raise refusal(function, *(word for word in kwargs if word in table), name=name, values=kwargs)
        try:
            return function(*args, **kwargs)
        except OF_PYTHON as error:
            if explanation := argument_error(function, args, kwargs, error):
                raise explanation from None
            raise

    return call


def refusal(
    function: Callable[..., Any], *names: str, name: str = "", values: Mapping[str, Any] | None = None
) -> UsageError:
    """The error for arguments that a function does not have, names of its table in `elsewhere.ARGUMENTS`.

    name, values: the model that the call names, and the values of the arguments, for the fix.
    """
    table, values = elsewhere.ARGUMENTS[function.__qualname__], values or {}
    function_name = called_name(function)
    fixes = [elsewhere.answer(table[word], name, values.get(word)) for word in names]
    return UsageError(
        f"{function_name} does not take {', '.join(names)}",
        where=f"{function_name}({', '.join(f'{word}=…' for word in names)})",
        fix=" · ".join(dict.fromkeys(fixes)),
    )


class ExplainMisuse(type):
    """Metaclass of classes that answer wrong arguments of their constructor as `explain_misuse` does."""

    if not TYPE_CHECKING:  # a type checker sees the constructor's signature

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().__call__(*args, **kwargs)
            except OF_PYTHON as error:
                if explanation := argument_error(cls, args, kwargs, error):
                    raise explanation from None
                raise

        @property
        def __signature__(cls) -> Any:  # what help and notebooks show: not *args and **kwargs
            signature = inspect.signature(cls.__init__)
            return signature.replace(parameters=[*signature.parameters.values()][1:])


def argument_error(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception
) -> StriateError | None:
    """The error for the arguments of a failed call; None if they fit, or if only their number is wrong."""
    if isinstance(error, StriateError):
        return None
    signature = inspect.signature(function)
    surplus = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if surplus and (name := surplus[1]) in kwargs and name not in signature.parameters:
        return unknown_argument(function, name, signature.parameters)
    try:
        arguments = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None
    names = _names(function)
    for name, value in arguments.items():
        parameter = signature.parameters[name]
        hint = parameter.annotation
        if parameter.kind is parameter.VAR_KEYWORD or hint is parameter.empty:
            continue
        values = value if parameter.kind is parameter.VAR_POSITIONAL else (value,)
        for one in values:
            if not fits(one, hint, names):
                return _wrong_value(
                    function, name, one, describe(hint, names), parameter.default is parameter.empty
                )
    return None


def unknown_argument(function: Callable[..., Any], name: str, parameters: Mapping[str, Any]) -> StriateError:
    """The error for a keyword argument that a function or class does not have."""
    ask = getattr(function, "unknown_setting", None)
    if ask:
        explanation: StriateError = ask(name)
        return explanation
    function_name, names = called_name(function), [word for word in parameters if word != "self"]
    near = suggest(name, names)
    return UsageError(
        f"{function_name} does not take {name}",
        where=f"{function_name}({name}=…)",
        why=f"its arguments are {few(names)}",
        fix=f"did you mean {near}?" if near else f"leave out {name}",
    )


def _wrong_value(
    function: Callable[..., Any], name: str, value: Any, takes: str, required: bool
) -> UsageError:
    function_name = called_name(function)
    fix = f"give {takes.removesuffix(' or None')}"
    return UsageError(
        f"{name} of {function_name} must be {takes} (got {_show(value)})",
        where=f"{function_name}({name}=…)",
        why=_docstring_entry(function, name),
        fix=fix if required else f"{fix}, or leave {name} out",
    )


def called_name(function: Callable[..., Any]) -> str:
    """What a reader calls a function: ``create``, ``Model``, ``predict``."""
    name = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    return {"__call__": "model", "Config": "CheckConfig"}.get(name, name)


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str | bytes | int | float | None) else ""
    return text if 0 < len(text) <= 40 else f"a value of type {type(value).__name__}"


def _docstring_entry(function: Callable[..., Any], name: str) -> str:
    """What the docstring says about an argument."""
    end = r"(?:; \w+(?:, \w+)*:|\.\s|\.$|\n\n|$)"
    match = re.search(rf"\b{name}(?:, \w+)*: (.+?){end}", function.__doc__ or "", re.DOTALL)
    return f"{name}: {' '.join(match[1].split())}" if match else ""


# ---------------------------------------------------------------------------------------------------- annotations


def _names(function: Callable[..., Any]) -> dict[str, Any]:
    """The objects that the names in a function's annotations refer to."""
    if isinstance(function, type):
        modules = [sys.modules[cls.__module__] for cls in reversed(function.__mro__)]
        return {name: value for module in modules for name, value in vars(module).items()}
    return dict(vars(sys.modules[inspect.unwrap(function).__module__]))


def _parse(hint: Any, names: Mapping[str, Any]) -> ast.expr:
    text = hint if isinstance(hint, str) else getattr(hint, "__name__", "") or repr(hint)
    if hasattr(hint, "__args__"):
        text = repr(hint)
    text = text.replace("typing.", "").replace("collections.abc.", "")
    parsed = ast.parse(text, mode="eval").body
    if isinstance(parsed, ast.Name) and parsed.id not in WORDS and parsed.id in names:
        alias = names[parsed.id]
        if alias is Any:
            return ast.Name("Any")
        if not isinstance(alias, type) or hasattr(alias, "__args__"):
            return _parse(alias, names)
    if isinstance(parsed, ast.Constant) and isinstance(parsed.value, str):
        return _parse(parsed.value, names)
    return parsed


def _alternatives(hint: Any, names: Mapping[str, Any]) -> list[ast.expr]:
    """The members of a union, aliases replaced."""
    node = hint if isinstance(hint, ast.expr) else None
    node = _parse(ast.unparse(node) if node is not None else hint, names)
    if isinstance(node, ast.BinOp):
        return [*_alternatives(node.left, names), *_alternatives(node.right, names)]
    return [node]


def _parts(node: ast.expr) -> tuple[str, list[ast.expr]]:
    """Name and arguments of one member: ``Sequence``, [int]."""
    if isinstance(node, ast.Subscript):
        inner = node.slice
        return ast.unparse(node.value), list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    return ast.unparse(node), []


def fits(value: Any, hint: Any, names: Mapping[str, Any]) -> bool:
    """Whether an annotation allows a value.

    >>> fits((3, 4), "str | tuple[int, ...]", {}), fits(3, "str | tuple[int, ...]", {})
    (True, False)
    """
    return any(_fits(value, node, names) for node in _alternatives(hint, names))


def _fits(value: Any, node: ast.expr, names: Mapping[str, Any]) -> bool:
    name, inner = _parts(node)
    if name in SEQUENCES:
        if isinstance(value, str | bytes) or not isinstance(value, list | tuple | range):
            return False
        kinds = [part for part in inner if (_parts(part)[0] != "...")]
        if name == "tuple" and len(kinds) == len(inner) and len(inner) != len(value):
            return False
        pairs = zip(value, kinds * len(value) if len(kinds) == 1 else kinds, strict=False)
        return all(fits(one, kind, names) for one, kind in pairs)
    if name in ("Mapping", "dict"):
        return isinstance(value, Mapping) and (
            not inner
            or all(fits(key, inner[0], names) and fits(one, inner[1], names) for key, one in value.items())
        )
    if name == "Literal":
        return any(value == ast.literal_eval(one) for one in inner) if isinstance(value, str) else False
    test = TESTS.get(name)
    if test is not None:
        return test(value)
    allowed_type = names.get(name)
    if isinstance(allowed_type, type):
        return isinstance(value, allowed_type)
    return type(value) not in (*PLAIN, object) and not hasattr(value, "__array__")


TESTS: Mapping[str, Callable[[Any], bool]] = {
    "Any": lambda value: True,
    "object": lambda value: True,
    "None": lambda value: value is None,
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: hasattr(type(value), "__index__") and not isinstance(value, bool) and not _has_axes(value),
    "float": lambda value: hasattr(type(value), "__float__") and not isinstance(value, bool) and not _has_axes(value),
    "Path": lambda value: hasattr(value, "__fspath__"),
    "Callable": callable,
    "type": lambda value: isinstance(value, type),
    **dict.fromkeys(("Array", "NDArray", "ArrayLike"), lambda value: _is_numeric(value)),
}  # fmt: skip
"""Name in an annotation -> whether a value is one."""


def _has_axes(value: Any) -> bool:
    """Whether a value has axes, as an array of one number has that turns into a number."""
    return bool(getattr(value, "shape", ()))


def _is_numeric(value: Any) -> bool:
    """Whether something is an array of numbers, or nested lists of them."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(one, int | float) or _is_numeric(one) for one in value)
    return _has_axes(value) and hasattr(value, "__array__") and str(getattr(value, "dtype", "")) != "object"


def describe(hint: Any, names: Mapping[str, Any]) -> str:
    """What an annotation allows, in words.

    >>> describe("str | Sequence[int] | None", {})
    'a text, a tuple of whole numbers or None'
    """
    phrases = list(dict.fromkeys(_describe_node(node, names) for node in _alternatives(hint, names)))
    return " or ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)


def _describe_node(node: ast.expr, names: Mapping[str, Any]) -> str:
    name, inner = _parts(node)
    kinds = [describe(part, names) for part in inner if _parts(part)[0] != "..."]
    if name in SEQUENCES:
        if not kinds:
            return "a tuple"
        several = SEVERAL.get(kinds[0], f"values, each {kinds[0]}")
        has_length = name == "tuple" and len(kinds) == len(inner)
        return f"a tuple of {len(kinds)} {several}" if has_length else f"a tuple of {several}"
    if name in ("Mapping", "dict"):
        return f"a dict with {SEVERAL.get(kinds[0], kinds[0])} as keys" if kinds else "a dict"
    if name == "Literal":
        return " or ".join(repr(ast.literal_eval(one)) for one in inner)
    word = WORDS.get(name)
    if word:
        return word
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
