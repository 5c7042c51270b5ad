"""Constructors -> the keys that a YAML may give for them. The signature is the schema."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from ppmm.config.kinds import Anything, Foreign, Kind, kind_of

__all__ = ["Parameter", "Signature", "signature_of"]

_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Parameter(NamedTuple):
    """One argument of a constructor."""

    name: str
    kind: Kind
    required: bool


class Signature(NamedTuple):
    """The arguments of a constructor, in order; ``rest`` is the kind of every ``**kwargs`` argument, None without."""

    parameters: dict[str, Parameter]
    rest: Kind | None

    def kind(self, key: str) -> Kind | None:
        """The kind of one argument; None when there is no such argument."""
        return self.parameters[key].kind if key in self.parameters else self.rest


def signature_of(cls: type) -> Signature:
    """The keyword arguments of ``cls(...)``; none for a class without a constructor of its own."""
    function = _constructor(cls)
    if function is None:
        return Signature({}, None)
    parameters: dict[str, Parameter] = {}
    rest: Kind | None = None
    for index, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            rest = _kind(function, parameter)
        elif index > 0 and parameter.kind in _KEYWORD:  # 0 is self
            required = parameter.default is inspect.Parameter.empty
            parameters[parameter.name] = Parameter(parameter.name, _kind(function, parameter), required)
    return Signature(parameters, rest)


def _constructor(cls: type) -> Callable[..., Any] | None:
    """The ``__init__`` that a person or a dataclass wrote.

    Those of object and of a Protocol take ``*args, **kwargs`` in their signature, but no arguments in truth. Python
    copies that of object into a subclass of a Protocol when it is first instantiated.
    """
    for base in cls.__mro__:
        function: Callable[..., Any] = vars(base).get("__init__", object.__init__)
        if function is not object.__init__ and not getattr(base, "_is_protocol", False):
            return function
    return None


def _kind(function: Callable[..., Any], parameter: inspect.Parameter) -> Kind:
    """Kind of one parameter. Each is resolved alone, so that one unknown name does not hide the others."""
    if parameter.annotation is inspect.Parameter.empty:
        return Anything()
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    namespace = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        hint = typing.get_type_hints(holder, globalns=namespace)[parameter.name]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        # Such as a name that is imported only under TYPE_CHECKING: an error if a YAML gives the argument, not before.
        return Foreign(f"{parameter.annotation}, which is unknown at run time ({error})")
    return kind_of(hint)
