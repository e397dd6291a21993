"""The shop's web server, and customers who keep ordering.

    python web.py

Traces go where the OTEL_* variables say. It listens on SHOP_ADDRESS, else on a free port of this
machine, and ends with SIGTERM or Ctrl-C. Its last line is its books: the numbers of the orders that
it took, by what was ordered.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from celery import chain, chord
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider  # noqa: TID251 - an application has an SDK
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: TID251
from shop import (
    apply_voucher,
    book_courier,
    charge_card,
    pack_parcel,
    pick_item,
    print_label,
    remind_customer,
    render_invoice,
    reserve_stock,
    resize_photo,
    send_receipt,
)

ADDRESS = os.environ.get("SHOP_ADDRESS", "127.0.0.1:0")
PAUSE = 0.25  # seconds between two customers


def sale(order: int) -> None:
    """Many at once: a queue builds up."""
    for _ in range(25):
        reserve_stock.delay(order)


REQUESTS: dict[str, Callable[[int], object]] = {
    "basket": lambda n: chain(reserve_stock.s(n), charge_card.s(), send_receipt.s()).delay(),
    "parcel": lambda n: chord([pick_item.s(n, i) for i in range(3)])(pack_parcel.s(n)),
    "invoice": lambda n: render_invoice.delay(n),
    "reminder": lambda n: remind_customer.apply_async((n,), countdown=2),
    "yacht": lambda n: charge_card.delay(n, amount=1e6),
    "voucher": lambda n: apply_voucher.delay(n, "EXPIRED"),
    "photo": lambda n: resize_photo.delay(n),
    "courier": lambda n: book_courier.delay(n),
    "label": lambda n: print_label.delay(n),
    "sale": sale,
}
DAY = (
    *("basket", "parcel", "invoice", "reminder", "basket", "yacht", "voucher", "sale"),
    *("basket", "invoice", "photo", "parcel", "basket", "label", "courier", "invoice"),
)
DEADLY = {"photo", "label", "courier"}
"""Wishes that end with a dead process. Over files the pool has no event loop, its processes share
one lock for their results, and a process that dies while it holds that lock hangs the worker."""


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    numbers = itertools.count(1)
    books: ClassVar[dict[str, list[int]]] = {wish: [] for wish in REQUESTS}
    tracer = trace.get_tracer("shop.web")

    def do_POST(self) -> None:
        wish = self.path.removeprefix("/orders/")
        if wish not in REQUESTS:
            self.answer(404)
            return
        number = next(self.numbers)
        with self.tracer.start_as_current_span(
            f"POST {self.path}", kind=trace.SpanKind.SERVER
        ) as span:
            REQUESTS[wish](number)
            span.set_attribute("http.response.status_code", 202)
        self.books[wish].append(number)
        self.answer(202)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    closing = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: closing.set())
    provider = TracerProvider()
    # A server that stops has not the usual 10 s.
    timeout = float(os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT", "3"))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
    trace.set_tracer_provider(provider)

    host, _, port = ADDRESS.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Shop)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"The shop is open, http://127.0.0.1:{server.server_port}")
    customer = http.client.HTTPConnection("127.0.0.1", server.server_port)
    wishes = [wish for wish in DAY if wish not in DEADLY or "SHOP_FOLDER" not in os.environ]
    for wish in itertools.cycle(wishes):
        customer.request("POST", f"/orders/{wish}")
        customer.getresponse().read()
        if closing.wait(PAUSE):
            break
    server.shutdown()
    provider.shutdown()
    print(f"books: {json.dumps(Shop.books)}")


if __name__ == "__main__":
    main()
