"""Pickles of numpy arrays and builtin containers, read without running anything else that a file may name.

A pickle can call any importable function, and set attributes on what it names. This unpickler resolves only
the globals that numpy needs to rebuild arrays, scalars and dtypes (by the module names of numpy 1 and 2) and
a few builtin types, each through a checked stand-in; any other global is refused by name before it is imported.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from sketchfast.runtime.pictures import check_file

MAX_BYTES = 8 * 1024**3


class ForbiddenGlobal(ValueError):
    """The pickle names something other than numpy arrays and builtin containers."""


class _Callable:
    """An allowed global. Immutable: a pickle may also set attributes on what it names."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]):
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise ForbiddenGlobal(f"it sets {name!r} on {self._function.__name__}")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class _Marker:
    """The class numpy.ndarray as an argument; it cannot be called or changed."""

    __slots__ = ()


_NDARRAY = _Marker()
_PLAIN_DTYPE = re.compile(r"[<>=|]?[biufcSUO?][0-9]{0,9}")


class _Dtype:
    """A dtype being rebuilt; numpy's own accepts states that make it read memory as Python objects."""

    def __init__(self, code: Any = None, *ignored: Any):
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise ForbiddenGlobal(
                f"it has an array of dtype {code!r}; only numbers, strings and objects are allowed"
            )
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise ForbiddenGlobal(
                "it has an array of structured dtype; only plain numbers, strings and objects are allowed"
            )
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise ForbiddenGlobal(f"it has a dtype of byte order {order!r}")
        if self.dtype.itemsize == 0 and isinstance(state[5], int) and 0 < state[5] < 2**20:
            # Old numpy writes strings as ("S0" or "U0", state with the size).
            self.dtype = np.dtype(f"{self.dtype.kind}{state[5] // (4 if self.dtype.kind == 'U' else 1)}")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array(np.ndarray):
    """An array being rebuilt; `_finish` turns it into a plain one."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        count = _count(shape)
        dtype = _real(dtype)
        if isinstance(data, str):  # Python 2
            data = data.encode("latin1")
        if dtype.hasobject:
            if not isinstance(data, list) or len(data) != count:
                raise ValueError(f"an object array of shape {shape} must have {count} items")
        elif not isinstance(data, bytes) or len(data) != count * dtype.itemsize:
            raise ValueError(f"an array of shape {shape}, {dtype} must have {count * dtype.itemsize} bytes")
        super().__setstate__((1, shape, dtype, bool(fortran), data))  # type: ignore[arg-type]


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"an array has the shape {shape!r}")
    return math.prod(shape)


def _real(dtype: Any) -> np.dtype:
    if not isinstance(dtype, _Dtype):
        raise ForbiddenGlobal(f"it has an array whose dtype is a {type(dtype).__name__}")
    return dtype.dtype


def _reconstruct(subtype: Any, shape: Any, typecode: Any) -> np.ndarray:
    if subtype is not _NDARRAY:
        raise ForbiddenGlobal(f"it rebuilds {subtype!r}; only numpy.ndarray is allowed")
    return np.ndarray.__new__(_Array, (0,), np.uint8)  # shape and type come with the state


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    plain = _real(dtype)
    if plain.hasobject or order not in ("C", "F"):
        raise ValueError(f"an array of {plain} and order {order!r} cannot come from a buffer")
    _count(shape)
    return np.frombuffer(buffer, plain).reshape(shape, order=order).copy(order=order)


def _scalar(dtype: Any, content: Any = b"") -> Any:
    plain = _real(dtype)
    content = content.encode("latin1") if isinstance(content, str) else content
    if plain.hasobject or not isinstance(content, bytes) or len(content) != plain.itemsize or not content:
        raise ValueError(f"a scalar of {plain} must have {plain.itemsize} bytes")
    return np.frombuffer(content, plain)[0]


def _bytearray(*arguments: Any) -> bytearray:
    # Protocols 0 to 2 write (text, "latin-1"), later ones (bytes,). A number would allocate that many bytes.
    if len(arguments) == 2 and isinstance(arguments[0], str):
        return bytearray(_encode(*arguments))
    if arguments and not isinstance(arguments[0], bytes):
        raise ForbiddenGlobal(f"it makes a bytearray of {arguments[0]!r}")
    return bytearray(*arguments)


def _bytes(*arguments: Any) -> bytes:
    if arguments and not isinstance(arguments[0], list):  # numbers would allocate that many bytes
        raise ForbiddenGlobal(f"it makes bytes of {arguments[0]!r}")
    return bytes(*arguments)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    # Protocols 0 to 2 write bytes as _codecs.encode(text, "latin1"); other codecs can unpack without bound.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ForbiddenGlobal(f"it calls _codecs.encode with {encoding!r}")
    return text.encode("latin1")


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Callable(_Dtype),
    **{(module, "_reconstruct"): _Callable(_reconstruct) for module in _MULTIARRAY},
    **{(module, "scalar"): _Callable(_scalar) for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _Callable(_frombuffer) for module in _NUMERIC},
    ("_codecs", "encode"): _Callable(_encode),
    ("collections", "OrderedDict"): _Callable(OrderedDict),
    **{
        (module, name): _Callable(function)
        for module in ("builtins", "__builtin__")
        for name, function in (
            ("set", set),
            ("frozenset", frozenset),
            ("complex", complex),
            ("bytes", _bytes),
            ("bytearray", _bytearray),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except (KeyError, TypeError):
            raise ForbiddenGlobal(
                f"it names the global {module}.{name}; only numpy arrays and builtin containers are allowed"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise ForbiddenGlobal(f"it names the outside object {pid!r}; only self-contained pickles are allowed")


def load(path: str | os.PathLike[str]) -> Any:
    """The object in a pickle file (protocols 0 to 5, Python 2 included: its strings are read as latin1).

    Raises ForbiddenGlobal (a ValueError) naming the file and the global that it refuses, ValueError for a
    file that is not a pickle, FileNotFoundError.
    """
    path = check_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, more than the limit of {MAX_BYTES:,}")
    return loads(path.read_bytes(), str(path))


def loads(content: bytes, source: str = "pickle") -> Any:
    """As `load`, from bytes; `source` names them in errors."""
    try:
        return _finish(_Unpickler(io.BytesIO(content), encoding="latin1").load(), {})
    except ForbiddenGlobal as error:
        raise ForbiddenGlobal(f"{source} is refused: {error}") from None
    except MemoryError:
        raise ValueError(f"{source} is not a readable pickle: it asks for too much memory") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f"{source} is not a readable pickle: {type(error).__name__}: {error}") from None


def _finish(value: Any, done: dict[int, Any]) -> Any:
    """The value with every array being rebuilt replaced by a plain one, in place where that is possible."""
    if id(value) in done:
        return done[id(value)][1]
    # The original is kept beside the result so that its id is not given to another object meanwhile.
    result = value
    if isinstance(value, _Array):
        result = value.view(np.ndarray)
        done[id(value)] = (value, result)
        if result.dtype.hasobject:
            for index in np.ndindex(result.shape):
                result[index] = _finish(result[index], done)
    elif isinstance(value, dict):
        done[id(value)] = (value, value)
        for key in list(value):
            value[key] = _finish(value[key], done)
    elif isinstance(value, list):
        done[id(value)] = (value, value)
        value[:] = [_finish(item, done) for item in value]
    elif isinstance(value, tuple):
        result = tuple(_finish(item, done) for item in value)
        done[id(value)] = (value, result)
    elif isinstance(value, _Callable | _Marker | _Dtype):
        raise ForbiddenGlobal(
            "it holds a class or function as data; only arrays and builtin containers are allowed"
        )
    return result
