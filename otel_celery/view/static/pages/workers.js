// Workers: do they live, what do they do, what do they take?

import { h, say } from "/static/dom.js";
import { bytes, count, NONE, query, seconds, share } from "/static/format.js";
import { plot, sparkline } from "/static/plot.js";
import { table, twoLines } from "/static/table.js";
import { either } from "/static/pages/empty.js";

export const title = "Workers";
export const url = () => "/api/workers";

const COLUMNS = [
  {
    label: "Worker",
    cls: "name",
    text: (row) => row.name,
    href: (row) => `/search${query({ worker: row.node })}`,
  },
  {
    label: "Status",
    cls: "two status",
    fill: (cell, row) =>
      twoLines(cell, status(row), `heartbeat ${seconds(Math.round(row.heartbeat_age))} ago`),
    tone: (row) => (row.alive ? (row.connected === false ? "warn" : "good") : "bad"),
  },
  {
    label: "Active",
    cls: "num meter",
    fill(cell, row) {
      if (!cell.children.length)
        cell.append(h("span"), h("meter", { min: 0, "aria-hidden": "true" }));
      const [text, meter] = cell.children;
      say(text, `${count(row.active)} of ${count(row.pool)}`);
      meter.max = Math.max(row.pool, 1);
      meter.value = row.active ?? 0;
    },
  },
  { label: "Reserved", cls: "num", text: (row) => count(row.reserved) },
  { label: "Scheduled", cls: "num", text: (row) => count(row.scheduled) },
  { label: "Processed", cls: "num", text: (row) => count(row.processed) },
  {
    label: "Failed",
    cls: "num",
    text: (row) => (row.failed ? count(row.failed) : NONE),
    tone: (row) => (row.failed ? "bad" : ""),
  },
  { label: "CPU", cls: "num", text: (row) => share(row.cpu) },
  {
    label: "Memory",
    cls: "trend num",
    fill(cell, row) {
      sparkline(cell, [{ values: row.memory_line, cls: "ok" }]);
      if (!cell.lastElementChild.matches("span")) cell.append(h("span"));
      const limit = row.memory_limit ? ` of ${bytes(row.memory_limit)}` : "";
      say(cell.lastElementChild, `${bytes(row.memory)}${limit}`);
    },
  },
  {
    label: "Pool and queues",
    cls: "two states",
    fill: (cell, row) =>
      twoLines(
        cell,
        `${row.pool_type || "pool"}, ${row.queues.join(", ") || "no queue"}`,
        exits(row),
      ),
  },
];

function status(row) {
  if (!row.alive) return "silent";
  return row.connected === false ? "no broker" : "alive";
}

function exits(row) {
  const told = Object.entries(row.exits).map(
    ([reason, number]) => `${count(number)} by ${reason.replace("_", " ")}`,
  );
  return told.length ? `processes ended: ${told.join(", ")}` : "";
}

export function build(root) {
  const chart = plot("Tasks running", (value) => count(Math.round(value * 10) / 10));
  const rows = table("Workers", COLUMNS, (row) => row.name);
  const full = h("div", {}, chart.node, rows.node);
  const shown = either(full, "No worker has told of itself yet");
  root.append(...shown.nodes);
  return ({ times, workers }) => {
    shown.update(workers.length > 0);
    if (!workers.length) return;
    chart.update(
      times,
      workers.slice(0, 8).map((row) => ({ label: row.name, values: row.active_line })),
    );
    rows.update(workers);
  };
}
