"""What may not leave in a text?"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import pytest

from otel_celery.redaction import cut, redacted, redacted_copy, redacted_repr


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("no address", "no address", id="no-address"),
        pytest.param("redis://host:6379/0", "redis://host:6379/0", id="no-credentials"),
        pytest.param("redis://me:pw@host/0", "redis://***@host/0", id="user-and-password"),
        pytest.param("redis://:pw@host/0", "redis://***@host/0", id="password-alone"),
        pytest.param("https://token@host/a", "https://***@host/a", id="token"),
        pytest.param("amqp://me:p@ss@host//", "amqp://***@host//", id="an-at-in-the-password"),
        pytest.param(
            "sentinel://:a@one;sentinel://:b@two",
            "sentinel://***@one;sentinel://***@two",
            id="several-as-kombu-writes",
        ),
        pytest.param("('a://b:c@d', 'e://f:g@h')", "('a://***@d', 'e://***@h')", id="two"),
        pytest.param("redis://:pa/ss@host/0", "redis://***@host/0", id="slash-password-alone"),
        pytest.param("db+pg://me:a/b#c?d@host/x", "db+pg://***@host/x", id="slash-and-hash"),
        pytest.param(
            "azureservicebus://root:some/key=@space", "azureservicebus://***@space", id="sas-key"
        ),
        pytest.param(
            "azurestoragequeues://some/key+x==@http://account",
            "azurestoragequeues://***@http://account",
            id="storage-key",
        ),
        pytest.param(
            "azurestoragequeues://?sv=1&sig=a%2Fb@https://account",
            "azurestoragequeues://***@https://account",
            id="sas-token",
        ),
        pytest.param(
            "for url: https://a.core.windows.net/q?sv=1&sig=a%2Fb%3D&se=2",
            "for url: https://a.core.windows.net/q?sv=1&sig=***&se=2",
            id="signed-url",
        ),
        pytest.param(
            "https://sqs/1/q?X-Amz-Credential=AK/x&X-Amz-Signature=ab&X-Amz-Date=1",
            "https://sqs/1/q?X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1",
            id="signed-by-aws",
        ),
        pytest.param("redis://h?password=pw&db=1", "redis://h?password=***&db=1", id="parameter"),
        pytest.param("http://host:80/?m=a@b", "http://host:80/?m=a@b", id="port-and-an-at"),
        pytest.param("http://[::1]:80/a@b", "http://[::1]:80/a@b", id="an-address-of-ipv6"),
        pytest.param("https://host/@me/a:b@c", "https://host/@me/a:b@c", id="an-at-in-the-path"),
        pytest.param("http://host/?mail=a@b", "http://host/?mail=a@b", id="an-at-in-the-query"),
        pytest.param("http://host mail a@b", "http://host mail a@b", id="an-at-elsewhere"),
        pytest.param("äöü://me:pw@host", "äöü://***@host", id="any-scheme"),
        pytest.param("\udcff://me:pw@host", "\udcff://***@host", id="no-utf-8"),
    ],
)
def test_credentials_of_addresses_stay_here(text: str, left: str):
    assert redacted(text) == left


def test_a_long_text_costs_no_more_than_its_length():
    begin = time.process_time()
    for text in (
        "://" * 300_000, "://" + "a" * 1_000_000, "://a:b@" * 100_000,
        "azureservicebus://" * 50_000, "://:" * 200_000, "://a:" * 200_000,
        "://" + "?" * 1_000_000, "://?" + "a" * 1_000_000,
    ):  # fmt: skip
        redacted(text)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("text", "keep_end", "left"),
    [
        pytest.param("", False, "", id="nothing"),
        pytest.param("12345", False, "12345", id="as-long-as-may-be"),
        pytest.param("123456", False, "1234…", id="the-beginning"),
        pytest.param("123456", True, "…3456", id="the-end"),
        pytest.param("äöüäöü", False, "äöüä…", id="characters-not-bytes"),
    ],
)
def test_a_text_is_cut_and_says_so(text: str, keep_end: bool, left: str):
    assert cut(text, 5, keep_end=keep_end) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("('redis://me:pw@h',)", "('redis://***@h',)", id="whole"),
        pytest.param("('redis://me:sec...", "('redis://***...", id="cut-in-the-password"),
        pytest.param("['redis://me:sec...', 1]", "['redis://***...', 1]", id="cut-and-quoted"),
        pytest.param("{'a': 'http://host/pa...", "{'a': 'http://host/pa...", id="cut-in-the-path"),
    ],
)
def test_an_address_that_celery_has_cut_tells_no_half_of_a_password(text: str, left: str):
    assert redacted_repr(text) == left


URL, CLEAR = "redis://u:p@h", "redis://***@h"


def test_a_copy_is_redacted_and_what_was_given_stays():
    """It may be the program's own configuration."""
    other = object()
    given = {"url": URL, URL: [URL, (URL, 3)], "odd": other, "kept": OrderedDict(url=URL)}
    copy = redacted_copy(given)
    assert copy == {"url": CLEAR, CLEAR: [CLEAR, (CLEAR, 3)], "odd": other, "kept": {"url": CLEAR}}
    assert given == {"url": URL, URL: [URL, (URL, 3)], "odd": other, "kept": {"url": URL}}


def test_what_is_met_often_is_copied_once():
    """Levels that name the next one twice would else take for ever; and so would cycles."""
    shared: Any = [URL]
    for _ in range(15):
        shared = {"a": shared, "b": (shared, shared)}
    copy = redacted_copy(shared)
    assert copy["a"] is copy["b"][0] is copy["b"][1]
    endless: list[Any] = [URL]
    endless += [endless, (endless,)]
    copy = redacted_copy(endless)
    assert copy[0] == CLEAR
    assert copy[1] is copy


def test_what_is_nested_too_deeply_stays_here():
    """Rather than leaving as it is."""
    deep: Any = URL
    for _ in range(5000):
        deep = [deep]
    assert "://" not in repr(redacted_copy(deep))
