"""How is an attribute written in OTLP?"""

from __future__ import annotations

import enum
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from otel_celery.values import clean, encode_attributes


class Colour(str, enum.Enum):
    """Text of another class."""

    RED = "red"


class Told:
    """A class with a text of its own."""

    def __str__(self) -> str:
        return "told"


class Mute:
    """A class whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def decoded(attributes: Any, **limits: Any) -> tuple[list[KeyValue], int]:
    fields, dropped = encode_attributes(attributes, **limits)
    return list(Message.FromString(fields).attributes), dropped


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("é", AnyValue(string_value="é"), id="text"),
        pytest.param("", AnyValue(string_value=""), id="empty-text"),
        pytest.param("a\0b", AnyValue(string_value="a\0b"), id="nul"),
        pytest.param("x" * 70_000, AnyValue(string_value="x" * 70_000), id="long-text"),
        pytest.param(Colour.RED, AnyValue(string_value="red"), id="enum-of-text"),
        pytest.param(True, AnyValue(bool_value=True), id="true"),
        pytest.param(False, AnyValue(bool_value=False), id="false"),
        pytest.param(0, AnyValue(int_value=0), id="zero"),
        pytest.param(-1, AnyValue(int_value=-1), id="negative"),
        pytest.param(2**63 - 1, AnyValue(int_value=2**63 - 1), id="largest"),
        pytest.param(-(2**63), AnyValue(int_value=-(2**63)), id="smallest"),
        pytest.param(0.5, AnyValue(double_value=0.5), id="fraction"),
        pytest.param(b"\xff", AnyValue(bytes_value=b"\xff"), id="bytes"),
        pytest.param(None, AnyValue(), id="none"),
        pytest.param((), AnyValue(array_value=ArrayValue()), id="empty-list"),
        pytest.param(
            ["a", None],
            AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="a"), AnyValue()])),
            id="list-with-none",
        ),
        pytest.param(
            {"k": 1, "": 2, 3: None},
            AnyValue(
                kvlist_value=KeyValueList(
                    values=[
                        KeyValue(key="k", value=AnyValue(int_value=1)),
                        KeyValue(key="3", value=AnyValue()),
                    ]
                )
            ),
            id="mapping",
        ),
        pytest.param(Told(), AnyValue(string_value="told"), id="foreign"),
        pytest.param(object(), AnyValue(), id="only-an-address"),
    ],
)
def test_a_value_is_written_as_what_it_is(value, written):
    """One message for each type that the protocol has, text for all else."""
    assert decoded({"key": value}) == ([KeyValue(key="key", value=written)], 0)


@pytest.mark.parametrize("size", [*range(115, 132), 16_380, 16_384])
def test_lengths_of_more_than_one_byte_are_written_as_such(size):
    """A text is read back whole around each change of the length's width."""
    text = "x" * size
    assert decoded({"k": text, "l": 1})[0][0].value.string_value == text


@pytest.mark.parametrize(
    ("key", "written"),
    [
        pytest.param("k" * 500, ["k" * 500], id="long"),
        pytest.param(Colour.RED, ["red"], id="enum-of-text"),
        pytest.param(5, ["5"], id="number"),
        pytest.param(Told(), ["told"], id="foreign"),
        pytest.param("", [], id="empty"),
        pytest.param(None, [], id="none"),
        pytest.param(object(), [], id="only-an-address"),
        pytest.param(Mute(), [], id="mute"),
    ],
)
def test_an_attribute_needs_a_name(key, written):
    """Those without are dropped and counted; others take their place in the limit."""
    pairs, dropped = decoded({key: 1, "other": 2}, most=1)
    assert ([pair.key for pair in pairs], dropped) == (["other"], 1)
    pairs, dropped = decoded({key: 1})
    assert ([pair.key for pair in pairs], dropped) == (written, 1 - len(written))


@pytest.mark.parametrize(
    ("value", "dropped"),
    [
        pytest.param(2**63, 0, id="beyond-64-bits-as-the-sdk-uncounted"),
        pytest.param([1, -(2**63) - 1], 0, id="beyond-64-bits-in-a-list"),
        pytest.param(Mute(), 1, id="mute"),
        pytest.param(nested(60), 1, id="nested-too-deeply-to-be-read"),
    ],
)
def test_a_value_that_cannot_be_written_costs_only_its_attribute(value, dropped):
    """The neighbours arrive."""
    pairs, count = decoded({"a": 1, "bad": value, "b": 2})
    assert ([pair.key for pair in pairs], count) == (["a", "b"], dropped)


def test_text_is_cut_by_characters_wherever_it_stands():
    """Keys, bytes and texts of foreign classes are not, as in the SDK."""
    given = {"long key": ["ééé", {"long key": "ééé"}], "b": b"bytes", "told": Told()}
    kept = {"long key": ["éé", {"long key": "éé"}], "b": b"bytes", "told": "told"}
    assert decoded(given, longest=2) == decoded(kept)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        pytest.param("plain é 😀 \0", "plain é 😀 \0", id="valid-stays"),
        pytest.param("\ud83d\ude00", "😀", id="pair-joins"),
        pytest.param("a\ud800b", "a\ufffdb", id="lone-high"),
        pytest.param("a\udc00b", "a\ufffdb", id="lone-low"),
        pytest.param("\ud800", "\ufffd", id="lone-at-the-end"),
        pytest.param("\ufeffa\ud800", "\ufeffa\ufffd", id="byte-order-mark-stays"),
        pytest.param(b"a\xffb", "a\ufffdb", id="bytes"),
    ],
)
def test_text_is_mended_where_it_must_be(text, mended):
    """What cannot be written as UTF-8 becomes U+FFFD."""
    assert clean(text) == mended
