// Tasks: how often do they run, how do they end, how long do they wait and run?

import { h, say } from "/static/dom.js";
import { count, last, NONE, query, rate, seconds } from "/static/format.js";
import { plot, sparkline } from "/static/plot.js";
import { table, twoLines } from "/static/table.js";
import { either } from "/static/pages/empty.js";

export const title = "Tasks";
export const url = () => "/api/tasks";

const GOOD = ["success", "retry"];
const BAD = ["failure", "timeout", "lost", "unknown", "invalid"];

const COLUMNS = [
  {
    label: "Task",
    cls: "name",
    text: (row) => row.name,
    href: (row) => `/search${query({ task: row.name })}`,
  },
  {
    label: "Last 5 minutes",
    cls: "trend",
    fill(cell, row) {
      sparkline(cell, [
        { values: row.rate, cls: "ok" },
        { values: row.bad ? row.bad_rate : [], cls: "bad" },
      ]);
      if (!cell.lastElementChild.matches("span")) cell.append(h("span"));
      say(cell.lastElementChild, rate(last(row.rate)));
    },
  },
  { label: "Runs", cls: "num", text: (row) => count(row.runs) },
  { label: "Success", cls: "num", text: (row) => some(row.outcomes.success) },
  {
    label: "Failed",
    cls: "num",
    text: (row) => some(row.bad),
    tone: (row) => (row.bad ? "bad" : ""),
  },
  {
    label: "Retried",
    cls: "num",
    text: (row) => some(row.outcomes.retry),
    tone: (row) => (row.outcomes.retry ? "warn" : ""),
  },
  { label: "Also", cls: "states", text: others },
  {
    label: "Wait p95",
    cls: "num two",
    fill: (cell, row) => twoLines(cell, seconds(row.wait.p95), `p50 ${seconds(row.wait.p50)}`),
  },
  {
    label: "Run p95",
    cls: "num two",
    fill: (cell, row) => twoLines(cell, seconds(row.run.p95), `p50 ${seconds(row.run.p50)}`),
  },
];

function some(value) {
  return value ? count(value) : NONE;
}

function others(row) {
  const told = Object.entries(row.outcomes)
    .filter(([state, number]) => number && !GOOD.includes(state) && state !== "failure")
    .sort(([one], [other]) => BAD.includes(other) - BAD.includes(one))
    .map(([state, number]) => `${count(number)} ${state}`);
  if (row.expected) told.push(`${count(row.expected)} expected`);
  return told.join(", ");
}

export function build(root) {
  const chart = plot("Deliveries ended, per second", rate);
  const rows = table("Tasks", COLUMNS, (row) => row.name);
  const full = h("div", {}, chart.node, rows.node);
  const shown = either(full, "No task has ended yet");
  root.append(...shown.nodes);
  return ({ times, ended, bad, tasks }) => {
    shown.update(tasks.length > 0);
    if (!tasks.length) return;
    chart.update(times, [
      { label: "all", values: ended, colour: "--accent" },
      { label: "failed", values: bad, colour: "--bad" },
    ]);
    rows.update(tasks);
  };
}
