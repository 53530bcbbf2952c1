"""ONNX's file format, as far as we write it: protobuf, by the field numbers of ``onnx.proto``.

The package ``onnx`` does it too, but to import that takes as long as finding two faces, and 20 MB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

OPSET, IR_VERSION = 17, 8
"""Operator set of our graphs, which ONNX Runtime runs since 1.12 (2022), and the file format that belongs to it."""

FLOAT, INT64 = 1, 7  # TensorProto.DataType
TYPES = {"float32": FLOAT, "uint8": 2, "int8": 3, "int32": 6}  # by NumPy's names
INTEGER, INTEGERS = 2, 7  # AttributeProto.AttributeType
EXTERNAL = 1  # TensorProto.DataLocation

Shape = Sequence[int | str]  # sizes; a text is the name of one that is open


def message(fields: Iterable[tuple[int, int | str | bytes]]) -> bytes:
    """Return a protobuf message: fields by their numbers, each an integer from 0 on, a text or a message.

    >>> message([(1, 300), (2, "x")]).hex(" ")
    '08 ac 02 12 01 78'
    """
    written = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            written += _varint(number << 3) + _varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            written += _varint(number << 3 | 2) + _varint(len(content)) + content
    return bytes(written)


def _varint(number: int) -> bytes:
    """Return an integer seven bits a byte, the lowest first; the highest bit says that more follow."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def node(operator: str, inputs: Iterable[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    """Return one operator, called as its output is."""
    told = [(5, _attribute(name, value)) for name, value in attributes.items()]
    return message([*((1, name) for name in inputs), (2, output), (3, output), (4, operator), *told])


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return message([(1, name), (3, value), (20, INTEGER)])
    return message([(1, name), *((8, number) for number in value), (20, INTEGERS)])


def integers(name: str, numbers: Sequence[int]) -> bytes:
    """Return a constant int64 (N,)."""
    return message([(1, len(numbers)), (2, INT64), (8, name), (9, struct.pack(f"<{len(numbers)}q", *numbers))])


def declared(name: str, array: np.ndarray) -> bytes:
    """Return a constant without its numbers, of one of ``TYPES``: ``open_session`` is given those apart.

    Seventeen megabytes of weights are copied five times on their way through a graph, which
    takes as long as finding two faces.
    """
    place = (("location", "memory"), ("offset", "0"), ("length", str(array.nbytes)))
    external = [(13, message(enumerate(entry, start=1))) for entry in place]
    sides = ((1, side) for side in array.shape)
    return message([*sides, (2, TYPES[array.dtype.name]), (8, name), *external, (14, EXTERNAL)])


def model(
    nodes: Iterable[bytes], inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], constants: Iterable[bytes] = ()
) -> bytes:
    """Return what an .onnx file holds; what goes in and comes out is float32, of these shapes."""
    ports = [*((11, _port(*one)) for one in inputs.items()), *((12, _port(*one)) for one in outputs.items())]
    graph = message([*((1, one) for one in nodes), (2, "graph"), *((5, one) for one in constants), *ports])
    return message([(1, IR_VERSION), (7, graph), (8, message([(1, ""), (2, OPSET)]))])


def _port(name: str, shape: Shape) -> bytes:
    sides = [(1, message([(1 if isinstance(side, int) else 2, side)])) for side in shape]
    return message([(1, name), (2, message([(1, message([(1, FLOAT), (2, message(sides))]))]))])
