// Search: where is the one delivery that somebody asks about?

import { h, say } from "/static/dom.js";
import { clock, count, precise, query, seconds } from "/static/format.js";
import { table, twoLines } from "/static/table.js";
import { traceOf } from "/static/pages/failures.js";

export const title = "Search";
export const url = (place) => `/api/search${place.search}`;

const BAD = ["failure", "timeout", "lost", "unknown", "invalid"];

const COLUMNS = [
  {
    label: "Task",
    cls: "name two",
    href: traceOf,
    fill: (cell, row) => twoLines(cell, row.task || "unknown task", row.task_id),
  },
  {
    label: "State",
    cls: "two status",
    fill: (cell, row) =>
      twoLines(
        cell,
        row.expected ? "expected failure" : row.state,
        [row.error_type, row.retries && `retry ${row.retries}`].filter(Boolean).join(", "),
      ),
    tone: (row) =>
      row.expected
        ? ""
        : BAD.includes(row.state)
          ? "bad"
          : row.state === "success"
            ? "good"
            : "warn",
  },
  { label: "Sent", cls: "num", text: (row) => clock(row.sent) },
  { label: "Received", cls: "num", text: (row) => clock(row.received) },
  { label: "Started", cls: "num", text: (row) => precise(row.started) },
  { label: "Waited", cls: "num", text: (row) => seconds(row.wait) },
  { label: "Ran", cls: "num", text: (row) => seconds(row.ended - row.started) },
  {
    label: "Worker, queue",
    cls: "two states",
    fill: (cell, row) => twoLines(cell, row.worker || "–", row.queue),
  },
];

export function build(root, { place, go }) {
  const asked = place.searchParams;
  const named = (name, label, control) => {
    control.id = `wanted-${name}`;
    return h("div", {}, h("label", { for: control.id }, label), control);
  };
  const field = (name, label) =>
    named(
      name,
      label,
      h("input", { name, value: asked.get(name) ?? "", autocomplete: "off", spellcheck: "false" }),
    );
  const choice = (name, label) =>
    named(name, label, h("select", { name }, h("option", { value: "" }, "any")));
  const choices = {
    task: choice("task", "Task"),
    state: choice("state", "State"),
    worker: choice("worker", "Worker"),
  };
  const form = h(
    "form",
    {
      class: "card filters",
      "aria-label": "Filters",
      onsubmit(event) {
        event.preventDefault();
        find();
      },
      onchange: () => find(),
    },
    field("q", "Anything"),
    field("id", "Task id"),
    ...Object.values(choices),
    h("button", {}, "Find"),
  );
  const find = () => go(`/search${query(Object.fromEntries(new FormData(form)))}`, true);
  const note = h("p", { class: "muted", role: "status" });
  const rows = table("Deliveries", COLUMNS, (row) => row.trace_id + row.span_id);
  root.append(form, note, rows.node);

  const offer = (name, values) => {
    const select = choices[name].querySelector("select");
    const wanted = asked.get(name) ?? "";
    const known = ["", ...new Set([...values, wanted].filter(Boolean))];
    const there = [...select.options].map((option) => option.value);
    if (JSON.stringify(known) === JSON.stringify(there)) return;
    const chosen = select.options.length > 1 ? select.value : wanted;
    select.replaceChildren(
      ...known.map((value) => h("option", { value, selected: value === chosen }, value || "any")),
    );
  };

  return (told) => {
    offer("task", told.tasks);
    offer("state", told.states);
    offer("worker", told.workers);
    const few =
      told.deliveries.length < told.total
        ? `, the newest ${count(told.deliveries.length)} are here`
        : "";
    say(
      note,
      `${count(told.total)} of ${count(told.of)} deliveries that have ended and are in memory${few}.`,
    );
    rows.node.hidden = !told.deliveries.length;
    rows.update(told.deliveries);
  };
}
