// Which page is shown, and how does it stay true? Asked anew each second while somebody looks.

import { arrange, h, say } from "/static/dom.js";
import { bytes, count } from "/static/format.js";
import * as about from "/static/pages/about.js";
import * as failures from "/static/pages/failures.js";
import * as queues from "/static/pages/queues.js";
import * as search from "/static/pages/search.js";
import * as tasks from "/static/pages/tasks.js";
import * as trace from "/static/pages/trace.js";
import * as workers from "/static/pages/workers.js";

const PAGES = { "": tasks, queues, workers, failures, search, traces: trace, about };
const PAUSE = 1000;
const PATIENCE = 10_000;
const main = document.getElementById("main");
const live = document.getElementById("live");
const quick = document.getElementById("quick");
let shown = 0; // counts pages, so that an answer for a page that was left is not drawn
let timer = 0;
let ask = () => {};

function show(moved) {
  const [, name, rest] = location.pathname.split("/");
  const page = PAGES[name] ?? tasks;
  const place = new URL(location.href);
  const mine = ++shown;
  const title = h("h1", {}, page.title);
  const body = h("div", { class: `page ${name || "tasks"}` });
  arrange(main, [title, body]);
  document.title = `${page.title} · otel-celery view`;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === (name ? `/${name}` : "/");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const update = page.build(body, { place, rest, title, go });
  ask = async () => {
    clearTimeout(timer);
    try {
      const told = await answerOf(page.url(new URL(location.href), rest));
      if (mine !== shown) return;
      if (told === undefined) return tell("gone", "no answer");
      update(told);
      body.dataset.ready = "yes";
      if (!document.hidden) tell("live", "live");
    } finally {
      if (mine === shown && !document.hidden) timer = setTimeout(ask, PAUSE);
    }
  };
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  ask();
}

// Return what the server says: null for what is not there, undefined if it says nothing.
async function answerOf(address) {
  const given = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
  const answer = await fetch(address, given).catch(() => undefined);
  if (answer?.status === 401) location.assign("/token");
  if (answer?.status === 404) return null;
  return answer?.ok ? answer.json().catch(() => undefined) : undefined;
}

function tell(state, word) {
  live.dataset.state = state;
  say(live.querySelector(".word"), word);
}

function go(address, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  show(!replace);
}

// The footer, ten times less often than the page.
async function tellKept() {
  if (!document.hidden) {
    const told = await answerOf("/api/status");
    if (told) {
      const { kept, limits } = told;
      const dropped = kept.dropped_spans + kept.dropped_points;
      say(
        document.getElementById("kept"),
        `In memory: ${count(kept.traces)} of at most ${count(limits.traces)} traces, ` +
          `${count(kept.spans)} of ${count(limits.spans)} spans (${bytes(kept.span_bytes)}), ` +
          `${count(kept.series)} of ${count(limits.series)} series` +
          (dropped ? `; ${count(dropped)} too large or too many, dropped` : ""),
      );
    }
  }
  setTimeout(tellKept, 10 * PAUSE);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button);
  if (!link || !plain || link.origin !== location.origin || link.hash || link.target) return;
  if (link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  go(link.href);
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

document.querySelector(".quick").addEventListener("submit", (event) => {
  event.preventDefault();
  go(`/search?${new URLSearchParams({ q: quick.value.trim() })}`);
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    quick.focus();
    quick.select();
  }
  if (event.key === "Escape" && typing) event.target.blur();
  if (!typing && ["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) step(event);
});

// Arrows go from row to row, in tables, lists and the tree alike.
function step(event) {
  const rows = [...main.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
  const here = rows.indexOf(document.activeElement);
  if (!rows.length || (here < 0 && event.key !== "ArrowDown")) return;
  const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (!rows[next]) return;
  event.preventDefault();
  rows[next].focus();
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.hidden) tell("paused", "paused");
  else ask();
});
addEventListener("popstate", () => show(true));

show(false);
tellKept();
