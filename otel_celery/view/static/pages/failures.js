// Failures: what ended badly of late, and where in the code?

import { h, Keyed, say } from "/static/dom.js";
import { ago, clock, count, query, seconds } from "/static/format.js";

export const title = "Failures";
export const url = () => "/api/failures";

export function traceOf(row) {
  return `/traces/${row.trace_id}?span=${row.span_id}`;
}

function makeRow(row) {
  const when = h("time");
  const told =
    row.failure?.message || (row.state === "timeout" ? "the hard time limit ended it" : "");
  const node = h(
    "details",
    { class: "card failure" },
    h(
      "summary",
      { "data-row": true },
      h(
        "span",
        { class: "state", "data-state": row.expected ? "expected" : row.state },
        row.expected ? "expected" : row.state,
      ),
      h("strong", { class: "task" }, row.task || "unknown task"),
      h("span", { class: "error" }, [row.error_type, told].filter(Boolean).join(": ")),
      when,
    ),
    h(
      "div",
      { class: "inside" },
      row.failure?.traceback
        ? h("pre", { tabindex: "0", "aria-label": "Traceback" }, row.failure.traceback)
        : h(
            "p",
            { class: "muted" },
            "No traceback: the process that could have told it was ended.",
          ),
      h(
        "p",
        { class: "facts" },
        h("a", { href: traceOf(row) }, "Trace"),
        h("a", { href: `/search${query({ id: row.task_id })}` }, `Task ${row.task_id}`),
        h("span", {}, `worker ${row.worker || "–"}`),
        h("span", {}, `queue ${row.queue || "–"}`),
        h("span", {}, `ran ${seconds(row.ended - row.started)}`),
        h("span", {}, `retry ${count(row.retries)}`),
        h("span", {}, `ended ${clock(row.ended)}`),
      ),
    ),
  );
  return { node, tell: (now) => say(when, ago(row.ended, now)) };
}

export function build(root) {
  const note = h("p", { class: "muted" });
  const list = h("div", { class: "list" });
  root.append(note, list);
  let now = 0;
  const rows = new Keyed(
    list,
    (row) => row.trace_id + row.span_id,
    (row) => {
      const made = makeRow(row);
      return { node: made.node, update: () => made.tell(now) };
    },
  );
  return (told) => {
    now = told.now;
    const few =
      told.failures.length < told.total
        ? `, the newest ${count(told.failures.length)} are here`
        : "";
    say(
      note,
      told.total
        ? `${count(told.total)} in memory${few}. Expected: an exception that the task lists in “throws”.`
        : "Nothing has failed, of what is in memory.",
    );
    rows.update(told.failures);
  };
}
