"""The page's server without its socket: what it takes, what it answers, and to whom."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from otel_celery.view import app as module
from otel_celery.view.app import PAGES, STATIC, build_app
from otel_celery.view.intake import JSON, PROTOBUF
from otel_celery.view.store import Store
from tests.unit.cli_wire import NOW, ORDER, filled, traces
from tests.unit.test_view_intake import as_json

TOKEN = "a-token-of-some-length"
BODY = traces(*ORDER)
HERE = "http://127.0.0.1:4318"
APIS = ("status", "tasks", "queues", "workers", "failures", "search")


class Client:
    """Asks an app, and keeps its cookies."""

    def __init__(self, app: Starlette, at: str) -> None:
        self.app, self._at = app, at
        self._cookies = httpx.Cookies()

    def get(self, path: str, **given: Any) -> httpx.Response:
        return asyncio.run(self.ask("GET", path, **given))

    def post(self, path: str, **given: Any) -> httpx.Response:
        return asyncio.run(self.ask("POST", path, **given))

    async def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        way = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(
            transport=way, base_url=self._at, cookies=self._cookies
        ) as client:
            answer = await client.request(method, path, **given)
            self._cookies = client.cookies
            return answer


def browser(store: Store, token: str = "", at: str = HERE) -> Client:
    return Client(build_app(store, token, lambda: NOW), at)


@pytest.mark.parametrize(
    ("body", "headers", "answer"),
    [
        pytest.param(BODY.SerializeToString(), {"Content-Type": PROTOBUF}, b"", id="protobuf"),
        pytest.param(as_json(BODY), {"Content-Type": f"{JSON}; charset=utf-8"}, b"{}", id="json"),
        pytest.param(
            gzip.compress(BODY.SerializeToString()),
            {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"},
            b"",
            id="gzip",
        ),
    ],
)
def test_spans_are_taken_in_every_form(body, headers, answer):
    store = Store()
    got = browser(store).post("/v1/traces", content=body, headers=headers)
    assert (got.status_code, got.content) == (200, answer)
    assert got.headers["content-type"] == headers["Content-Type"].partition(";")[0]
    assert [len(spans) for spans in store.snapshot().traces.values()] == [len(ORDER)]


def test_metrics_and_logs_are_taken_too():
    for path in ("/v1/metrics", "/v1/logs"):
        got = browser(Store()).post(path, content=b"", headers={"Content-Type": PROTOBUF})
        assert got.status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/v1/traces", {"Content-Type": "text/plain"}, 415, id="media-type"),
        pytest.param("/v1/traces", {}, 415, id="no-media-type"),
        pytest.param("/v1/traces", {"Content-Type": JSON}, 400, id="no-json"),
        pytest.param("/v1/other", {"Content-Type": PROTOBUF}, 404, id="path"),
    ],
)
def test_anything_else_is_refused(path, headers, status):
    got = browser(Store()).post(path, content=b"\xff", headers=headers)
    assert got.status_code == status


def test_a_body_that_is_too_large_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(module, "MAX_BODY", 10)
    got = browser(Store()).post("/v1/traces", content=b"x" * 11, headers={"Content-Type": PROTOBUF})
    assert (got.status_code, got.text) == (413, "expected at most 10 bytes")


@pytest.mark.parametrize("name", APIS)
def test_each_page_has_its_json(name):
    got = browser(filled()).get(f"/api/{name}")
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-store")
    assert got.json()["now"] == NOW


def test_a_trace_is_there_or_it_is_not():
    client = browser(filled())
    assert client.get(f"/api/traces/{ORDER[0].trace_id}").json()["spans"][0]["name"]
    assert client.get("/api/traces/ab").status_code == 404


def test_history_is_noted_while_the_server_runs():
    client = browser(filled())

    async def depth() -> float | None:
        async with client.app.router.lifespan_context(client.app):
            for _ in range(1000):
                told = (await client.ask("GET", "/api/queues")).json()["queues"][0]["depth"][-1]
                if told is not None:
                    return told
                await asyncio.sleep(0.02)
        return None

    assert asyncio.run(depth()) == 2


@pytest.mark.parametrize("path", [*PAGES, "/token", "/api/tasks", "/v1/none", "/static/app.js"])
def test_every_answer_forbids_what_the_page_does_not_need(path):
    headers = browser(Store()).get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("localhost:4318", 200, id="name"),
        pytest.param("127.0.0.1", 200, id="no-port"),
        pytest.param("[::1]:4318", 200, id="ipv6"),
        pytest.param("LOCALHOST:1", 200, id="forwarded-port"),
        pytest.param("evil.example:4318", 403, id="rebound"),
        pytest.param("127.0.0.1.evil.example", 403, id="looks-like-it"),
        pytest.param("localhost@evil.example", 403, id="user-part"),
        pytest.param("[::1", 403, id="broken"),
        pytest.param("", 403, id="none"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/tasks", "/static/app.js"])
def test_only_names_of_the_loopback_are_heard(path, host, status):
    assert browser(Store()).get(path, headers={"Host": host}).status_code == status


@pytest.mark.parametrize("token", ["", TOKEN])
def test_pages_of_others_may_not_send_or_ask(token):
    headers = {"Content-Type": PROTOBUF, "Authorization": f"Bearer {TOKEN}"}
    client = browser(Store(), token)
    others = {**headers, "Origin": "https://evil.example"}
    assert client.post("/v1/traces", content=b"", headers=others).status_code == 403
    assert client.get("/api/tasks", headers=others).status_code == 403
    own = {**headers, "Origin": HERE}
    assert client.post("/v1/traces", content=b"", headers=own).status_code == 200


FAR = "http://build-machine:4318"


@pytest.mark.parametrize("path", ["/", "/api/tasks", "/static/app.js", "/traces/ab", "/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong"),
        pytest.param({"Authorization": f"Bearer {TOKEN}x"}, id="longer"),
        pytest.param({"Authorization": f"Basic {TOKEN}"}, id="scheme"),
        pytest.param({"Authorization": "Bearer "}, id="empty"),
        pytest.param({"Authorization": "Bearer \xe9".encode()}, id="not-ascii"),
        pytest.param({"Cookie": "otel-celery-view=wrong"}, id="cookie"),
        pytest.param({"Cookie": "other=1"}, id="other-cookie"),
    ],
)
def test_without_the_token_nothing_is_shown(path, headers):
    assert browser(filled(), TOKEN, FAR).get(path, headers=headers).status_code == 401


def test_without_the_token_nothing_is_taken():
    store = Store()
    got = browser(store, TOKEN, FAR).post(
        "/v1/traces", content=BODY.SerializeToString(), headers={"Content-Type": PROTOBUF}
    )
    assert (got.status_code, store.tally().spans) == (401, 0)
    assert got.headers["www-authenticate"].startswith("Bearer")


def test_exporters_show_the_token_in_a_header():
    store = Store()
    headers = {"Content-Type": PROTOBUF, "Authorization": f"Bearer {TOKEN}"}
    got = browser(store, TOKEN, FAR).post(
        "/v1/traces", content=BODY.SerializeToString(), headers=headers
    )
    assert (got.status_code, store.tally().spans) == (200, len(ORDER))


def test_a_person_gives_the_token_once():
    client = browser(filled(), TOKEN, FAR)
    asked = client.get("/", headers={"Accept": "text/html"})
    assert (asked.status_code, asked.headers["location"]) == (303, "/token")
    assert client.get("/token").status_code == 200
    assert client.post("/token", data={"token": "wrong"}).status_code == 403
    given = client.post("/token", data={"token": f" {TOKEN} "})
    assert (given.status_code, given.headers["location"]) == (303, "/")
    assert re.search("HttpOnly.*SameSite=strict", given.headers["set-cookie"])
    assert client.get("/api/tasks").status_code == 200


def test_where_no_token_is_asked_for_none_lets_anybody_in():
    assert browser(Store()).post("/token", data={"token": ""}).status_code == 403


def files() -> list[Path]:
    return [path for path in STATIC.rglob("*") if path.is_file() and "uplot" not in path.parts]


def test_nothing_is_fetched_from_elsewhere():
    """No address of the web in any file of the page, but the name of SVG's namespace."""
    for path in files():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w+/|@import|style=", text), path


def test_every_file_that_the_page_asks_for_is_there():
    asked = {
        name
        for path in files()
        for name in re.findall(r"""["'(]/static/([\w./-]+)""", path.read_text())
    }
    assert asked
    assert [name for name in asked if not (STATIC / name).is_file()] == []


def test_the_library_for_plots_is_the_one_that_its_note_names():
    folder = STATIC / "uplot"
    told = dict(re.findall(r"\| `([\w.]+)` \| `(\w{64})` \|", (folder / "ORIGIN.md").read_text()))
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "ORIGIN.md"
    }
    assert told == found
