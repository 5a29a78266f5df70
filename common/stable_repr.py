"""What the arguments of an environment are, in full, the same in every process."""

import functools
import hashlib
import re
import sys
import types
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import numpy as np

# What a value of these types is is all in its repr.
PLAIN = (type(None), type(...), bool, int, float, complex, str, bytes, bytearray, range, np.generic, PurePath)


def stable_repr(value: Any) -> str:
    """What a value is, in full, the same in every process: sets and dicts are sorted, arrays are told by a checksum, functions
    by their code, objects by what they hold, and no address in memory is told. What raises when it is asked is told by its
    type alone."""
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
        self._met: dict[
            int, tuple[int, Any]
        ] = {}  # of what was told, by its id: its number, and itself, which keeps the id

    def tell(self, value: Any) -> str:
        """`stable_repr` of a value; one that was told before is told by its number."""
        try:
            if isinstance(value, PLAIN) and type(value).__module__ in ("builtins", "numpy", "pathlib"):
                return repr(value)
            if id(value) in self._met:
                return f"#{self._met[id(value)][0]}"
            self._met[id(value)] = len(self._met), value
            return self._compound(value)
        except Exception:  # noqa: BLE001 (its own methods, or it is nested too deeply)
            return f"<{type(value).__module__}.{type(value).__qualname__}>"

    def _compound(self, value: Any) -> str:
        kind, name = type(value), type(value).__qualname__
        if kind is dict:
            pairs = sorted(": ".join(self._each(pair)) for pair in value.items())
            return "{" + ", ".join(pairs) + "}"
        if kind is list:
            return "[" + ", ".join(self._each(value)) + "]"
        if kind is tuple:
            return "(" + ", ".join(self._each(value)) + ("," if len(value) == 1 else "") + ")"
        if isinstance(value, set | frozenset):
            return f"{name}({', '.join(sorted(self._apart(item) for item in value))})"
        if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
            whole = value.detach().cpu().to_dense().resolve_conj().resolve_neg().contiguous()
            return (
                f"{name}({value.dtype}, {tuple(value.shape)}, {_sum(whole.view(sys.modules['torch'].uint8).numpy())})"
            )
        if kind is np.ndarray and not value.dtype.hasobject:
            return f"{name}({value.dtype.descr}, {value.shape}, {_sum(value)})"
        if isinstance(value, types.ModuleType):
            self.modules.add(value.__name__)
            return f"module({value.__name__})"
        if isinstance(value, types.CodeType):
            return f"code({', '.join(self._each([value.co_code, value.co_names, value.co_consts]))})"
        if isinstance(value, type | types.FunctionType) and _is_installed(value):
            return f"{value.__module__}.{value.__qualname__}"
        self.modules.add(getattr(value, "__module__", None) or kind.__module__)
        if isinstance(value, type):
            return f"{value.__module__}.{value.__qualname__}"
        return f"{kind.__module__}.{name}({self.tell(_parts(value))})"

    def _each(self, values: Iterable[Any]) -> list[str]:
        return [self.tell(item) for item in values]

    def _apart(self, value: Any) -> str:
        """A member of a set, whose numbers must not depend on the order of members."""
        teller = _Teller()
        told = teller.tell(value)
        self.modules |= teller.modules
        return told


def _parts(value: Any) -> Any:
    """What an object is made of: as it would be pickled, or else its attributes and its repr."""
    if isinstance(value, types.FunctionType):
        closure = [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
        return [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, closure]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.BuiltinFunctionType):
        return [value.__qualname__, None if isinstance(value.__self__, types.ModuleType) else value.__self__]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if hasattr(value, "__wrapped__"):
        return value.__wrapped__
    try:
        maker, *more = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 (its own, or it cannot be pickled)
        slots = [vars(cls).get("__slots__", ()) for cls in type(value).__mro__]
        named = {name for of in slots for name in ((of,) if isinstance(of, str) else of)}
        named |= set(getattr(value, "__dict__", ()))
        told = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
        return [told, {name: getattr(value, name) for name in named if hasattr(value, name) and name != "__weakref__"}]
    args, state, items, pairs = [*more, None, None, None, None][:4]
    return [getattr(maker, "__qualname__", ""), args, state, [*(items or ())], [*(pairs or ())]]


def _is_installed(value: Any) -> bool:
    """Whether a class or function is of Python or of an installed package: its name and their versions say enough."""
    top = value.__module__.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return top in sys.stdlib_module_names or "site-packages" in file


def _is_full(cell: types.CellType) -> bool:
    """Whether a variable of a function's surroundings has a value yet."""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _sum(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
