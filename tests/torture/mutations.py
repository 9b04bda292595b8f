"""Files that are nearly right: bytes changed, cut, joined; values of JSON replaced."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

PLACES = 1 << 30  # a place in a file is a share of its length
NUMBERS = (
    *(b"\0", b"\xff", b"\x7f", b"\0\0", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff"),
    *(b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80", b"\0\x01\0\0"),
    *(b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 64, b"-1", b"999999999", b"1e999", b"nan"),
    *(b"[" * 3000, b'{"a":' * 2000, b"\xed\xa0\x80", b"%s%n", b"../../x", b"\r\n\r\n"),
)
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, -(2**70), 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", "x", "../../etc/passwd", "\0", "\ud800", "a" * 5000, "\n"),
    *([], {}, [[]], [None], [1, 2, 3], {"a": 1}, [0.5] * 40, "1", "-", "CON", "~", "{}"),
)

ACTIONS = ("put", "put", "drop", "add")


def edit(data: bytes, other: bytes, kind: str, at: int, to: int, value: bytes) -> bytes:
    """One edit of data; ``at`` and ``to`` are places, ``value`` a few bytes."""
    first, second = sorted((at * len(data) // PLACES, to * len(data) // PLACES))
    if kind == "flip" and data:
        return data[:first] + bytes([data[first] ^ (value[0] or 1)]) + data[first + 1 :]
    if kind == "set":
        return data[:first] + value + data[first + len(value) :]
    if kind == "insert":
        return data[:first] + value + data[first:]
    if kind == "cut":
        return data[:second]
    if kind == "drop":
        return data[:first] + data[second:]
    if kind == "repeat":
        return data[:second] + data[first : first + 4096] + data[second:]
    if kind == "join":
        return data[:first] + other[to * len(other) // PLACES :]
    return data


KINDS = ("flip", "flip", "set", "set", "insert", "cut", "drop", "repeat", "join")
places = st.integers(0, PLACES - 1)
edits = st.lists(
    st.tuples(st.sampled_from(KINDS), places, places, st.sampled_from(NUMBERS)),
    min_size=1,
    max_size=6,
)


@st.composite
def mutated_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    data, other = draw(st.sampled_from(seeds)), draw(st.sampled_from(seeds))
    for kind, at, to, value in draw(edits):
        data = edit(data, other, kind, at, to, value)
    if draw(st.booleans()):
        data = with_right_checksums(data)
    return data


@st.composite
def mutated_json(draw: st.DrawFn, values: Sequence[Any]) -> Any:
    """One of the values with some of what is inside replaced, removed or added."""
    value = {"": copy.deepcopy(draw(st.sampled_from(values)))}
    for at, what, action in draw(
        st.lists(
            st.tuples(
                places, st.sampled_from(JUNK), st.sampled_from(("put", "put", "drop", "add"))
            ),
            min_size=1,
            max_size=4,
        )
    ):
        holders = list(_holders(value))
        holder, key = holders[at % len(holders)]
        if action == "put":
            holder[key] = copy.deepcopy(what)
        elif action == "add" and isinstance(holder, dict):
            holder["extra"] = copy.deepcopy(what)
        elif key != "":
            del holder[key]
    return value.get("")


def _holders(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(pairs):
        yield value, key
        if isinstance(item, dict | list):
            yield from _holders(item)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@st.composite
def mutated_safetensors(draw: st.DrawFn, seeds: Sequence[bytes], key: str = "") -> bytes:
    """A safetensors file whose header, or the JSON under ``key`` of its metadata, is changed."""
    data = draw(st.sampled_from(seeds))
    (length,) = struct.unpack_from("<Q", data)
    header, payload = json.loads(data[8 : 8 + length]), data[8 + length :]
    if key and draw(st.booleans()):
        inner = draw(mutated_json([json.loads(header["__metadata__"][key])]))
        header["__metadata__"][key] = json.dumps(inner)
    else:
        header = draw(mutated_json([header]))
    text = as_json(header)
    return struct.pack("<Q", len(text)) + text + payload


@st.composite
def mutated_zip(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A file of torch.save with one of its members changed, and whole checksums."""
    archive = zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(seeds))))
    members = {name: archive.read(name) for name in archive.namelist()}
    # Mostly the pickle, which says what is to be made.
    pickles = [name for name in members if name.endswith("data.pkl")]
    name = draw(st.sampled_from([*pickles * 3, *members]))
    members[name] = draw(mutated_bytes([members[name]]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for each, content in members.items():
            made.writestr(each, content)
    return buffer.getvalue()


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks' checksums fit again, so that decoders look at what is in them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        if at + 12 + length > len(data):
            break
        parts += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(parts) + data[at:]
