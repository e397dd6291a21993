"""The shop's worker: tasks that do all that tasks do, the bad things included.

    celery -A shop worker -c 4 -Q orders,documents
    celery -A shop beat

Broker and results are Redis on this machine, or what CELERY_BROKER_URL and
CELERY_RESULT_BACKEND say.
"""

from __future__ import annotations

import os
import random
import signal
import time

import files
from celery import Celery, Task
from opentelemetry import trace

import otel_celery

app = Celery("shop", broker="redis://127.0.0.1:6379/0", backend="redis://127.0.0.1:6379/1")
app.conf.update(
    task_default_queue="orders",
    task_routes={"shop.render_invoice": {"queue": "documents"}},
    task_ignore_result=True,
    worker_lost_wait=1.0,  # seconds until a task whose process was killed is given up
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    beat_schedule={"count-stock": {"task": "shop.count_stock", "schedule": 2.0}},
)
if folder := os.environ.get("SHOP_FOLDER"):  # with CELERY_BROKER_URL=filesystem://
    app.conf.broker_transport_options = files.build_options(folder)

otel_celery.instrument(app)

tracer = trace.get_tracer("shop")


class CardDeclined(Exception):
    """The bank said no: nobody's fault, and part of the business."""


class MailServerBusy(Exception):
    """Later, please."""


# What goes well.


@app.task(name="shop.reserve_stock")
def reserve_stock(order: int) -> int:
    time.sleep(random.uniform(0.05, 0.25))
    return order


@app.task(name="shop.charge_card", throws=(CardDeclined,))
def charge_card(order: int, amount: float = 20.0) -> int:
    trace.get_current_span().set_attribute("shop.amount", amount)
    with tracer.start_as_current_span("ask the bank", kind=trace.SpanKind.CLIENT):
        time.sleep(random.uniform(0.05, 0.15))
    if amount > 1000:
        raise CardDeclined(f"order {order}: {amount:.2f} is over the limit")
    return order


@app.task(name="shop.render_invoice")
def render_invoice(order: int) -> None:
    """Slow: the queue of its own keeps it out of the way of orders."""
    with tracer.start_as_current_span("read template"):
        time.sleep(0.1)
    with tracer.start_as_current_span("draw pages"):
        time.sleep(random.uniform(0.5, 1.4))


@app.task(name="shop.remind_customer")
def remind_customer(order: int) -> None:
    """Sent with a countdown: it is due later, and so does not wait in the meantime."""
    time.sleep(0.02)


@app.task(name="shop.pick_item", ignore_result=False)
def pick_item(order: int, item: int) -> int:
    time.sleep(random.uniform(0.1, 0.4))
    return item


@app.task(name="shop.pack_parcel")
def pack_parcel(items: list[int], order: int) -> None:
    """The body of a chord: runs when all items are picked."""
    with tracer.start_as_current_span("print address"):
        time.sleep(0.1)


@app.task(name="shop.count_stock")
def count_stock() -> None:
    """Sent by beat."""
    time.sleep(0.05)


# What does not.


@app.task(
    name="shop.send_receipt",
    bind=True,
    autoretry_for=(MailServerBusy,),
    default_retry_delay=1,
    max_retries=3,
)
def send_receipt(self: Task, order: int) -> None:
    """Every other order meets a busy mail server at first."""
    time.sleep(0.05)
    if order % 2 and not self.request.retries:
        raise MailServerBusy("421 try again later")


@app.task(name="shop.apply_voucher")
def apply_voucher(order: int, code: str) -> float:
    """A mistake of the programmer."""
    return {"WELCOME": 0.9}[code]


@app.task(name="shop.resize_photo")
def resize_photo(order: int) -> None:
    """Ends as the kernel ends a process when memory runs out."""
    with tracer.start_as_current_span("load photo"):
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="shop.book_courier", time_limit=1)
def book_courier(order: int) -> None:
    """Hangs on a partner's site until the hard time limit.

    Celery keeps to no limit once it stops: then it waits for the site.
    """
    time.sleep(10)


@app.task(name="shop.print_label", bind=True, acks_late=True, reject_on_worker_lost=True)
def print_label(self: Task, order: int) -> None:
    """Its process dies the first time; the message goes back to the queue and is run again."""
    time.sleep(0.05)
    if not self.request.delivery_info["redelivered"]:
        os.kill(os.getpid(), signal.SIGKILL)
