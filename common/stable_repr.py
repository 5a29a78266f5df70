"""What the arguments of an environment are, in full, the same in every process."""

import functools
import hashlib
import re
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

# What a value of these types is is all in its repr.
PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, slice, np.dtype, np.generic, Path)


def stable_repr(value: Any) -> str:
    """What a value is, in full, the same in every process: sets are sorted, arrays are told by a checksum, functions by their
    code, objects by what they hold, and no address in memory is told."""
    return _Teller().tell(value)


def modules_of(value: Any) -> set[str]:
    """The modules of the functions and objects that a value is made of, by their names."""
    teller = _Teller()
    teller.tell(value)
    return teller.modules


class _Teller:
    """Tells a value; `modules` are those of what it has met."""

    def __init__(self) -> None:
        self.modules: set[str] = set()

    def tell(self, value: Any, inside: tuple[int, ...] = ()) -> str:
        """`stable_repr` of a value inside of those of some ids, which are told as "...", as `repr` does."""
        if id(value) in inside:
            return "..."
        name = type(value).__qualname__
        if isinstance(value, PLAIN) and type(value).__module__ in ("builtins", "numpy", "pathlib"):
            return repr(value)
        inside = (*inside, id(value))
        if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
            value = value.detach().cpu().numpy()
        if isinstance(value, np.ndarray) and value.dtype != object:
            numbers = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return f"{name}({value.dtype.str}, {value.shape}, {numbers})"
        if isinstance(value, set | frozenset):
            return f"{name}({', '.join(sorted(self._each(value, inside)))})"
        if type(value) is dict:
            return "{" + ", ".join(": ".join(self._each(pair, inside)) for pair in value.items()) + "}"
        if type(value) is list:
            return "[" + ", ".join(self._each(value, inside)) + "]"
        if type(value) is tuple:
            return "(" + ", ".join(self._each(value, inside)) + ("," if len(value) == 1 else "") + ")"
        if isinstance(value, type | types.BuiltinFunctionType | types.ModuleType):
            self.modules.add(getattr(value, "__module__", None) or value.__name__)
            return _without_address(value)
        if isinstance(value, types.CodeType):
            return f"code({', '.join(self._each([value.co_code, value.co_names, value.co_consts], inside))})"
        if isinstance(value, types.FunctionType):
            closure = [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
            held = [value.__code__, value.__defaults__, value.__kwdefaults__, closure]
            return self._held(value, f"{value.__module__}.{value.__qualname__}", held, inside)
        if isinstance(value, types.MethodType):
            return self._held(value, name, [value.__func__, value.__self__], inside)
        self.modules.add(type(value).__module__)
        return self._held(value, f"{type(value).__module__}.{name}", _parts(value), inside)

    def _each(self, values: Iterable[Any], inside: tuple[int, ...]) -> list[str]:
        return [self.tell(item, inside) for item in values]

    def _held(self, value: Any, name: str, held: Any, inside: tuple[int, ...]) -> str:
        """A value by a name and what it holds."""
        self.modules.add(getattr(value, "__module__", None) or type(value).__module__)
        return f"{name}({self.tell(held, inside)})"


def _parts(value: Any) -> Any:
    """What an object is made of: as it would be pickled, or its attributes, or else its repr."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 (its own, or it cannot be pickled)
        named = getattr(value, "__dict__", None)
        return named or _without_address(value)
    if isinstance(reduced, str):
        return reduced
    maker, args, *more = reduced
    state, items, pairs = [*more, None, None, None][:3]
    return [maker, args, state, [*(items or ())], [*(pairs or ())]]


def _is_full(cell: types.CellType) -> bool:
    """Whether a variable of a function's surroundings has a value yet."""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _without_address(value: Any) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
