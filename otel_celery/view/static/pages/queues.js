// Queues: how much waits, how old is it, and who takes it?

import { h } from "/static/dom.js";
import { count, NONE, seconds } from "/static/format.js";
import { plot, sparkline } from "/static/plot.js";
import { table } from "/static/table.js";
import { either } from "/static/pages/empty.js";

export const title = "Queues";
export const url = () => "/api/queues";

const MOST_LINES = 8;

const COLUMNS = [
  { label: "Queue", cls: "name", text: (row) => row.name },
  {
    label: "Last 5 minutes",
    cls: "trend",
    fill: (cell, row) => sparkline(cell, [{ values: row.depth, cls: "ok" }]),
  },
  { label: "Waiting", cls: "num", text: (row) => count(row.waiting) },
  { label: "Oldest", cls: "num", text: (row) => (row.waiting ? seconds(row.oldest_age) : NONE) },
  { label: "Unacked", cls: "num", text: (row) => count(row.unacked) },
  { label: "Published", cls: "num", text: (row) => count(row.published) },
  {
    label: "Taken by",
    cls: "states",
    text: (row) =>
      row.workers.join(", ") ||
      (row.consumers === null ? "nobody who tells us" : `${count(row.consumers)} consumers`),
    tone: (row) => (row.workers.length || row.consumers ? "" : "warn"),
  },
];

export function build(root) {
  const chart = plot("Messages waiting", (value) => count(Math.round(value * 10) / 10));
  const rows = table("Queues", COLUMNS, (row) => row.name);
  const full = h("div", {}, chart.node, rows.node);
  const shown = either(full, "No queue was published to or read yet");
  root.append(...shown.nodes);
  return ({ times, queues }) => {
    shown.update(queues.length > 0);
    if (!queues.length) return;
    const lines = queues
      .slice(0, MOST_LINES)
      .map((row) => ({ label: row.name, values: row.depth }));
    chart.update(times, lines);
    rows.update(queues);
  };
}
