"""What may not leave in a text?"""

from __future__ import annotations

import re

MESSAGE_LIMIT = 4 * 1024  # characters
STACKTRACE_LIMIT = 32 * 1024

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]*@")


def redacted(text: str) -> str:
    """Return `text` with the credentials of every URL in it replaced."""
    return _CREDENTIALS.sub("***@", text) if "://" in text else text


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
