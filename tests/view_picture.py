"""How does the page look? Draws `docs/view-*.png` from a run of `otel-celery demo --view`."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

DOCS = Path(__file__).resolve().parents[1] / "docs"
SECONDS = 90.0  # of the shop, until there is something to see
SIZE = {"width": 1180, "height": 800}


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def fullest_trace(url: str) -> str:
    """Return the id of the trace with most spans that fits on a picture."""
    ids = {row["trace_id"] for row in ask(f"{url}/api/search?task=shop.pack_parcel")["deliveries"]}
    traces = [ask(f"{url}/api/traces/{trace_id}") for trace_id in ids]
    fits = [trace for trace in traces if len(trace["spans"]) <= 16]
    found: str = max(fits, key=lambda trace: len(trace["spans"]))["trace_id"]
    return found


def shoot(browser: Browser, url: str) -> None:
    paths = {"tasks": "/", "trace": f"/traces/{fullest_trace(url)}"}
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=SIZE, color_scheme=scheme, base_url=url)
        page = context.new_page()
        for name, path in paths.items():
            page.goto(path)
            page.wait_for_selector("[data-ready]")
            page.wait_for_timeout(1500)  # the plot is drawn in the next frame
            page.screenshot(path=DOCS / f"view-{name}-{scheme}.png")
        context.close()


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("picture: chromium is not on PATH")
    demo = subprocess.Popen(
        [sys.executable, "-m", "otel_celery.cli", "demo", "--view"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout is not None
        lines = iter(demo.stdout.readline, "")
        url = next(found[1] for line in lines if (found := re.search(r"open (http\S+),", line)))
        next(line for line in lines if "selling" in line)
        time.sleep(SECONDS)
        with sync_playwright() as driver:
            shoot(driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]), url)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=120)


if __name__ == "__main__":
    main()
