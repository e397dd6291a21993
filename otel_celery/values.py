"""How is an attribute written in OTLP?

By the SDK's rules: values of a foreign class become their text, nameless attributes are dropped,
an integer beyond 64 bits is left out. Nothing raises, and text is always valid UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from struct import Struct
from typing import Any

_DEPTH = 90  # messages inside one attribute; protobuf readers give up on a request at 100

# What an attribute value of a foreign class may raise when it is looked at. Not `Exception`: the
# alarm of a soft time limit is one, and must reach the task.
ODD = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = tuple(_varint(number) for number in range(1024))
_double = Struct("<d").pack


def field(tag: bytes, body: bytes) -> bytes:
    """Return a length-delimited field."""
    size = len(body)
    return tag + (_SMALL[size] if size < 1024 else _varint(size)) + body


def count(tag: bytes, number: int) -> bytes:
    return tag + _varint(number) if number else b""


def text_field(tag: bytes, text: str) -> bytes:
    return field(tag, _utf8(text)) if text else b""


def clean(text: str | bytes) -> str:
    """Return text that can be written as UTF-8, itself where it can be.

    Halves of a surrogate pair that stand next to each other become their character, lone ones and
    undecodable bytes become U+FFFD.
    """
    if isinstance(text, bytes):
        return text.decode(errors="replace")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return clean(text).encode()


def told(value: object) -> str | None:
    """Return what an object of a foreign class says about itself, None where that is an address."""
    kind = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return None
    return str(value)


def named(attributes: Mapping[Any, object]) -> dict[str, object]:
    """Return only the attributes with a name, every name as text."""
    found: dict[str, object] = {}
    for key, value in attributes.items():
        with suppress(*ODD):
            name = str.__str__(key) if isinstance(key, str) else told(key)
            if key and name is not None:
                found[name] = value
    return found


def _any_value(value: object, longest: int | None, depth: int = _DEPTH) -> bytes:
    """Return an AnyValue message.

    Raises:
        OverflowError: an integer beyond 64 bits; the SDK's encoder leaves out such an attribute.
        RecursionError: nested too deeply to be read again.
    """
    if isinstance(value, str):
        if longest is not None and len(value) > longest:
            value = clean(value)[:longest]
        return field(b"\x0a", _utf8(value))
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError
        return b"\x18" + _varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return field(b"\x3a", value)
    if depth < 0:
        raise RecursionError
    if isinstance(value, Sequence):
        items = [field(b"\x0a", _any_value(item, longest, depth - 2)) for item in value]
        return field(b"\x2a", b"".join(items))
    if isinstance(value, Mapping):
        pairs = named(value).items()
        fields = [
            text_field(b"\x0a", key) + field(b"\x12", _any_value(item, longest, depth - 3))
            for key, item in pairs
        ]
        return field(b"\x32", b"".join([field(b"\x0a", pair) for pair in fields]))
    return _any_value(told(value), None)


def encode_attributes(
    attributes: Mapping[Any, object],
    tag: bytes = b"\x4a",
    most: int | None = None,
    longest: int | None = None,
) -> tuple[bytes, int]:
    """Return KeyValue fields and how many attributes were dropped.

    Args:
        attributes: any mapping; nameless ones are dropped, foreign values written as text.
        tag: of the repeated field, which differs by message; a span's unless given.
        most: number of attributes to keep: the last.
        longest: characters of text to keep, in lists too.
    """
    pairs = list(attributes.items())
    given = len(pairs)
    if any([type(key) is not str or not key for key, _ in pairs]):  # a list: twice as fast
        pairs = list(named(dict(pairs)).items())
    if most is not None and len(pairs) > most:
        del pairs[: len(pairs) - most]
    dropped = given - len(pairs)
    fields = []
    for key, value in pairs:
        try:
            name = _utf8(key)
            if type(value) is str and longest is None:
                text = _utf8(value)
                k, v = len(name), len(text)
                if k + v < 122:  # every length fits one byte
                    short = (tag, k + v + 6, k, name, v + 2, v, text)
                    fields.append(b"%b%c\n%c%b\x12%c\n%c%b" % short)
                    continue
            any_value = _any_value(value, longest)
            fields.append(field(tag, field(b"\x0a", name) + field(b"\x12", any_value)))
        except OverflowError:
            continue  # not counted by the SDK either
        except ODD:
            dropped += 1
    return b"".join(fields), dropped
