"""Where there is no Redis: kombu's filesystem transport, safe for several processes."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """kombu's own lets a reader find half a message, and forgets that one comes again."""

    def _put(self, queue: str, payload: Any, **options: Any) -> None:
        name = f"{time.monotonic_ns() // 10**6}_{uuid.uuid4()}.{queue}.msg"
        draft = Path(self.data_folder_out, f"{name}.draft")
        draft.write_text(dumps(payload))
        draft.rename(Path(self.data_folder_out, name))

    def _restore(self, message: Any) -> None:
        message.properties["delivery_info"]["redelivered"] = True
        super()._restore(message)


class Transport(filesystem.Transport):
    Channel = Channel


def build_options(folder: str) -> dict[str, str]:
    """Put our transport in the place of kombu's; return `broker_transport_options` for a folder."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
    return {
        "data_folder_in": f"{folder}/messages",
        "data_folder_out": f"{folder}/messages",
        "control_folder": f"{folder}/control",
    }
