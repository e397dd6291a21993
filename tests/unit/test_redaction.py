"""What may not leave in a text?"""

from __future__ import annotations

import time

import pytest

from otel_celery.redaction import cut, redacted


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
    for text in ("://" * 300_000, "://" + "a" * 1_000_000, "://a:b@" * 100_000):
        redacted(text)
    assert time.process_time() - begin < 2


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
