"""What answers to which path: pages, their JSON, and OTLP?"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from otel_celery.view.access import COOKIE, LOGIN, Access
from otel_celery.view.api import Answer, Observatory
from otel_celery.view.deliveries import Wanted
from otel_celery.view.intake import ACCEPTED, MAX_BODY, PATHS, Refused, take, unpack
from otel_celery.view.store import Store

STATIC = Path(__file__).with_name("static")
PAGES = ("/", "/queues", "/workers", "/failures", "/search", "/traces/{trace_id}", "/about")
SMALL_BODY = 4096


def build_app(store: Store, token: str = "", clock: Callable[[], float] = time.time) -> Starlette:
    """Return the ASGI app over a store.

    Args:
        store: filled by the receiver's routes, or by somebody else too.
        token: asked of everybody; empty: nothing but the loopback's names is heard.
        clock: Unix seconds.
    """
    observatory = Observatory(store)

    @contextlib.asynccontextmanager
    async def noting(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(note())
        yield
        task.cancel()

    async def note() -> None:
        while True:
            await run_in_threadpool(observatory.note, clock())
            await asyncio.sleep(1.0)

    def answers(ask: Callable[[float, Request], Answer | None]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:  # no coroutine: Starlette gives it a thread
            answer = ask(clock(), request)
            if answer is None:
                raise HTTPException(404, "it is not here, or not any more")
            return JSONResponse(answer)

        return endpoint

    async def receive(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            body = await read(request, MAX_BODY)
            encoding = request.headers.get("content-encoding", "")
            await run_in_threadpool(
                lambda: take(store, request.url.path, unpack(body, encoding), kind)
            )
        except Refused as refused:
            return PlainTextResponse(str(refused), refused.status)
        return Response(ACCEPTED[kind], media_type=kind)

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def log_in(request: Request) -> Response:
        if request.method == "GET":
            return FileResponse(STATIC / "token.html")
        given = parse_qs((await read(request, SMALL_BODY)).decode(errors="replace"))
        [shown] = given.get("token", [""])[:1]
        if not (token and access.knows(shown.strip())):
            return FileResponse(STATIC / "token.html", 403)
        response = RedirectResponse("/", 303)
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
        return response

    asks: dict[str, Callable[[float, Request], Answer | None]] = {
        "status": lambda now, _: observatory.status(now),
        "tasks": lambda now, _: observatory.tasks(now),
        "queues": lambda now, _: observatory.queues(now),
        "workers": lambda now, _: observatory.workers(now),
        "failures": lambda now, _: observatory.failures(now),
        "search": lambda now, request: observatory.search(now, wanted(request)),
        "traces/{trace_id}": lambda now, request: observatory.trace(
            now, request.path_params["trace_id"]
        ),
    }
    app = Starlette(
        routes=[
            *(Route(path, page) for path in PAGES),
            *(Route(f"/api/{path}", answers(ask)) for path, ask in asks.items()),
            *(Route(path, receive, methods=["POST"]) for path in PATHS),
            Route(LOGIN, log_in, methods=["GET", "POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Access, token=token)],
        lifespan=noting,
    )
    access = Access(app, token)
    return app


def wanted(request: Request) -> Wanted:
    asked = request.query_params
    return Wanted(
        text=asked.get("q", "").strip(),
        task_id=asked.get("id", "").strip(),
        task=asked.get("task", ""),
        state=asked.get("state", ""),
        worker=asked.get("worker", ""),
    )


async def read(request: Request, most: int) -> bytes:
    """Return a request's body.

    Raises:
        Refused: it is larger than `most` bytes.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refused(413, f"expected at most {most} bytes")
    return bytes(body)
