"""Functions over arrays as machine code, by Numba: it takes seconds to make, and is kept as what is made of rules is.

What is kept follows from the source, the processor and Numba's version. Numba sees to that, but looks only at the file
that a function is in, and not at those whose functions become a part of it: so each state of the code has a folder.
Where the home can be read but not written to, as in a container, a copy in a temporary folder is used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np import arrayobj

from gateway.redaction.home import code, folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.redaction.tables import Bytes, Longs, Numbers, Signs

Addresses: TypeAlias = "NDArray[np.int64]"
"""A row is an array's address, and how many rows and columns it has (no columns: 0)."""

_MOST = 8
_BLOCK = 64
_F = TypeVar("_F", bound="Callable[..., object]")


def native(function: _F) -> _F:
    """The function as machine code: made when it is first called, if it is not kept. It must make no array.

    It becomes a part of each function that calls it: to hand on fifty arrays would take longer than most of what is
    done with them.
    """
    made = cast("Callable[..., Callable[[_F], _F]]", numba.njit)
    options = {"forceinline": True, "_nrt": False}  # to count references to all arrays at each call would take longest
    try:
        return made(cache=True, **options)(function)
    except RuntimeError:  # there is nowhere to keep it
        return made(**options)(function)


@native
def index_of(keys: Numbers, low: int, high: int, wanted: int) -> int:
    """Where in keys[low:high], which are in order, one stands; -1 if it does not."""
    while low < high:
        middle = (low + high) >> 1
        key = keys[middle]
        if key == wanted:
            return middle
        if key < wanted:
            low = middle + 1
        else:
            high = middle
    return -1


@native
def whole(number: int) -> int:
    """The same number, where more is to be reckoned with it than an unsigned one allows."""
    return int(np.int64(number))


def _place() -> tempfile.TemporaryDirectory[str] | None:
    """Say where it is kept; the temporary folder, if that is one."""
    home = folder()
    if home is None:
        return None
    kept = home.parent / "native" / code()
    try:
        if os.access(home.parent, os.W_OK):
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            kept.mkdir(mode=0o700, exist_ok=True)
            _tidy(kept.parent)
            _keep_in(str(kept))
        elif kept.is_dir():
            copy = tempfile.TemporaryDirectory(prefix="llm-gateway-")
            shutil.copytree(kept, Path(copy.name), dirs_exist_ok=True)
            _keep_in(copy.name)
            return copy
    except OSError:  # there is no place: it is made at each start
        return None
    return None


def _tidy(where: Path) -> None:
    """Remove what other states of the code made, but for a few: those that were made last."""
    known = sorted(where.glob("?" * len(code())), key=lambda path: path.stat().st_mtime_ns)
    for old in known[:-_MOST]:
        shutil.rmtree(old, ignore_errors=True)


def _keep_in(where: str) -> None:
    numba.config.CACHE_DIR = where  # type: ignore[attr-defined]  # the module fills itself when it is imported


_copy = _place()


def loaded() -> None:
    """All functions were called once: the temporary folder is needed no longer."""
    if _copy is not None:
        _copy.cleanup()


def addresses(arrays: Iterable[Bytes | Numbers | Longs | Signs]) -> Addresses:
    """One argument for many: it takes Numba a microsecond for each array that a function is given.

    Whoever has made it must hold the arrays as long as it is used.
    """
    rows = [(one.ctypes.data, one.shape[0], one.shape[1] if one.ndim > 1 else 0) for one in arrays]
    return np.array(rows, np.int64)


def _reader(kind: types.Array, size: int) -> object:
    """What reads an array, of items of so many bytes, from `addresses`.

    A function in which references are not counted may return none, so this is the code itself.
    """

    def read(typingctx: object, table: types.Array, row: types.Integer) -> object:  # the name of the first is asked for
        def made(context: Any, builder: Any, _signature: object, values: list[Any]) -> object:
            given = arrayobj.make_array(table)(context, builder, values[0])  # type: ignore[no-untyped-call]
            first = builder.mul(context.cast(builder, values[1], row, types.intp), of(3))
            address, rows, columns = (
                builder.load(builder.gep(given.data, [builder.add(first, of(at))])) for at in range(3)
            )
            array = arrayobj.make_array(kind)(context, builder)  # type: ignore[no-untyped-call]
            data = builder.inttoptr(address, array.data.type)
            flat = kind.ndim == 1
            shape = [rows] if flat else [rows, columns]
            strides = [of(size)] if flat else [builder.mul(columns, of(size)), of(size)]
            arrayobj.populate_array(array, data, shape, strides, of(size), meminfo=None)  # type: ignore[no-untyped-call]
            return array._getvalue()

        return kind(table, row), made

    of = cgutils.intp_t
    return intrinsic(read)


def _lowest(typingctx: object, bits: types.Integer) -> object:  # the name of the first is asked for
    def made(_context: Any, builder: Any, _signature: object, values: list[Any]) -> object:
        return builder.cttz(values[0], cgutils.false_bit)

    return types.uint64(types.uint64), made


lowest = cast("Callable[[int | np.uint64], int]", intrinsic(_lowest))
"""The number of the lowest bit that is set in 64; 64 if none is."""


def _ones(typingctx: object, bits: types.Integer) -> object:
    def made(_context: Any, builder: Any, _signature: object, values: list[Any]) -> object:
        return builder.ctpop(values[0])

    return types.uint64(types.uint64), made


ones = cast("Callable[[np.uint64], int]", intrinsic(_ones))
"""How many bits are set in 64."""


def _eight(typingctx: object, text: types.Array, at: types.Integer) -> object:
    def made(context: Any, builder: Any, _signature: object, values: list[Any]) -> object:
        given = arrayobj.make_array(text)(context, builder, values[0])  # type: ignore[no-untyped-call]
        place = builder.gep(given.data, [context.cast(builder, values[1], at, types.intp)])
        wide = context.get_value_type(types.uint64)
        return builder.load(builder.bitcast(place, wide.as_pointer()), align=1)

    return types.uint64(text, at), made


eight = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_eight))
"""The eight bytes from there on as one number, the first of them lowest. All must be the array's."""


def _within(typingctx: object, text: types.Array, at: types.Integer, low: types.Integer, high: types.Integer) -> object:
    def made(context: Any, builder: Any, _signature: object, values: list[Any]) -> object:
        def each(value: object) -> object:
            first = builder.insert_element(ir.Constant(many, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), _BLOCK), None))

        many = ir.VectorType(ir.IntType(8), _BLOCK)
        given = arrayobj.make_array(text)(context, builder, values[0])  # type: ignore[no-untyped-call]
        place = builder.gep(given.data, [context.cast(builder, values[1], at, types.intp)])
        block = builder.load(builder.bitcast(place, many.as_pointer()), align=1)
        first, last = (
            context.cast(builder, value, kind, types.uint8) for value, kind in zip(values[2:], (low, high), strict=True)
        )
        held = builder.icmp_unsigned("<=", builder.sub(block, each(first)), each(builder.sub(last, first)))
        return builder.bitcast(held, ir.IntType(_BLOCK))

    return types.uint64(text, at, low, high), made


within = cast("Callable[[Bytes, int, int, int], np.uint64]", intrinsic(_within))
"""A bit for each of the 64 bytes from there on, the first of them lowest, that is from `low` to `high`; all at once."""

_Reader: TypeAlias = "Callable[[Addresses, int], Numbers]"
counts_at = cast("_Reader", _reader(types.Array(types.uint32, 1, "C"), 4))
"""The array of a row of `addresses`, whose numbers are never below zero: nothing need ask whether they are."""
rows_at = cast("_Reader", _reader(types.Array(types.uint32, 2, "C"), 4))
"""The same, of one that has columns."""
numbers_at = cast("_Reader", _reader(types.Array(types.int32, 1, "C"), 4))
"""The array of a row of `addresses`."""
pairs_at = cast("_Reader", _reader(types.Array(types.int32, 2, "C"), 4))
"""The same, of one that has columns."""
longs_at = cast("Callable[[Addresses, int], Longs]", _reader(types.Array(types.int64, 2, "C"), 8))
"""The same, of 64 bits each."""
signs_at = cast("Callable[[Addresses, int], Signs]", _reader(types.Array(types.uint64, 1, "C"), 8))
"""The same, of 64 bits each that are no numbers."""
bytes_at = cast("Callable[[Addresses, int], Bytes]", _reader(types.Array(types.uint8, 1, "C"), 1))
"""The same, of bytes."""
