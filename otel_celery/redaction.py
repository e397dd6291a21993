"""What may not leave in a text?"""

from __future__ import annotations

import re
from typing import Any

MESSAGE_LIMIT = 4 * 1024  # characters
STACKTRACE_LIMIT = 32 * 1024

_DEEPEST = 30  # levels of nested values that are copied

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]*@")
# Brokers and databases take passwords as they are, slashes included, where a URL would have them
# quoted. Bounded, because whatever is not found is looked for at every address of a text.
_ODD_CREDENTIALS = re.compile(
    r"(?<=://)(?:[^/?#\s'\"@:\[]+:(?!\d{1,5}[/?#])|:)[^\s'\"@]{1,200}@"
    r"|(?<=azureservicebus://)[^\s'\"@]{1,600}@|(?<=azurestoragequeues://)[^\s'\"@]{1,600}@"
)
_PARAMETERS = re.compile(
    r"(?<=[?&])(sig|pwd|[\w-]{0,40}(?:passw(?:or)?d|secret|token|signature|credential|api[_-]?key))"
    r"=[^&#\s'\"]+",
    re.IGNORECASE,
)

_CUT_OFF = re.compile(r"(?<=://)[^/?#\s'\"@]*?(?=\.\.\.|…|$)")


def redacted(text: str) -> str:
    """Return `text` with the credentials of every URL in it replaced.

    That is what stands before the host, and parameters that are named as secrets.
    """
    if "://" not in text:
        return text
    text = _ODD_CREDENTIALS.sub("***@", _CREDENTIALS.sub("***@", text))
    return _PARAMETERS.sub(r"\1=***", text)


def redacted_repr(text: str) -> str:
    """Return Celery's text of a value redacted, where it has cut an address in the middle too."""
    return _CUT_OFF.sub("***", redacted(text)) if "://" in text else text


def cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Return at most `limit` characters, marked where something is missing.

    Args:
        text: what to shorten.
        limit: characters.
        keep_end: of a stack trace the end tells most.
    """
    if len(text) <= limit:
        return text
    return "…" + text[1 - limit :] if keep_end else text[: limit - 1] + "…"


def redacted_copy(value: Any) -> Any:
    """Return lists, tuples and dictionaries anew, plain ones, with every text in them redacted.

    What is given stays as it is: it may be an object that the program works with. Whatever is met
    twice is copied once, cycles too. Objects of other classes are handed on.
    """
    return _copy(value, {}, 0)


def _copy(value: Any, made: dict[int, tuple[Any, Any]], depth: int) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) in made:
        return made[id(value)][1]
    if depth > _DEEPEST:
        return "…"
    copy: Any = {} if isinstance(value, dict) else []
    made[id(value)] = value, copy  # the value too: while it is there no other has its id
    if isinstance(value, dict):
        for key, each in list(dict.items(value)):  # a list: a thread may be changing it
            copy[_copy(key, made, depth + 1)] = _copy(each, made, depth + 1)
        return copy
    copy.extend([_copy(each, made, depth + 1) for each in list(value)])
    if isinstance(value, tuple):
        copy = tuple(copy)
        made[id(value)] = value, copy
    return copy
