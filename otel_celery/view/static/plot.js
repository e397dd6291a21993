// How does a number look over time: a small line in a table, or a plot with axes?

import uPlot from "/static/uplot/uPlot.esm.js";
import { h, svg } from "/static/dom.js";
import { last, NONE } from "/static/format.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const FEWEST = 12; // steps that are drawn where little is known yet: a minute

// Leave out the time before anything was known: a new page would be an empty one.
function begin(lines) {
  const known = lines
    .map((line) => line.findIndex((value) => value !== null))
    .filter((at) => at >= 0);
  const all = lines[0]?.length ?? 0;
  return Math.max(Math.min(...known, all - FEWEST), 0);
}

// lines: [{ values, cls }]; null is a gap.
export function sparkline(cell, given) {
  const from = begin(given.map(({ values }) => values));
  const lines = given.map(({ values, cls }) => ({ values: values.slice(from), cls }));
  const image = cell.querySelector("svg") ?? cell.insertBefore(blank(), cell.firstChild);
  image.setAttribute("viewBox", `0 0 ${lines[0].values.length - 1} 20`);
  const most = Math.max(...lines.flatMap(({ values }) => values), 0) || 1;
  lines.forEach(({ values, cls }, place) => {
    const path = image.children[place] ?? image.appendChild(svg("path", { class: cls }));
    let pen = "M";
    const steps = [];
    values.forEach((value, x) => {
      if (value === null) pen = "M";
      else {
        steps.push(`${pen}${x} ${(19 - (18 * value) / most).toFixed(1)}`);
        pen = "L";
      }
    });
    const drawn = steps.join("");
    if (path.getAttribute("d") !== drawn) path.setAttribute("d", drawn);
  });
}

function blank() {
  return svg("svg", {
    class: "spark",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
}

// A plot that follows its width and the colour scheme. series: [{ label, colour? }].
export function plot(title, format) {
  const box = h("div", { class: "plot" });
  const node = h("figure", { class: "card" }, h("figcaption", {}, title), box);
  let drawn = null;
  let shape = "";
  let edges = [0, 1]; // of time: the whole of it, also where nothing is known

  function make(labels) {
    drawn?.destroy();
    const axis = {
      stroke: () => colour("--muted"),
      grid: { stroke: () => colour("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    drawn = new uPlot(
      {
        width: box.clientWidth || 300,
        height: 170,
        padding: [8, 30, 0, 0], // room for half of the last hour
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        legend: { live: true },
        scales: {
          x: { range: () => edges },
          y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] },
        },
        axes: [
          {
            ...axis,
            values: (_, splits) => splits.map((at) => hour(at, at % 60)),
            space: 64,
            incrs: [15, 30, 60, 120],
            size: 28,
          },
          { ...axis, values: (_, splits) => splits.map(format), size: 52, space: 36 },
        ],
        series: [
          { label: "at", value: (_, at) => (at === null ? NONE : hour(at, true)) },
          ...labels.map(({ label, colour: own }, place) => ({
            label,
            stroke: () => colour(own ?? COLOURS[place % COLOURS.length]),
            width: 2,
            points: { show: false },
            value: (u, value, at, place) => told(place === null ? last(u.data[at]) : value),
          })),
        ],
      },
      [[], ...labels.map(() => [])],
      box,
    );
  }

  const told = (value) => (value === null || value === undefined ? NONE : format(value));
  new ResizeObserver(() => drawn?.setSize({ width: box.clientWidth, height: 170 })).observe(box);
  dark.addEventListener("change", () => drawn?.redraw(false));

  return {
    node,
    update(allTimes, given) {
      const from = begin(given.map(({ values }) => values));
      const times = allTimes.slice(from);
      const lines = given.map((line) => ({ ...line, values: line.values.slice(from) }));
      const wanted = JSON.stringify(lines.map(({ label }) => label));
      edges = [times[0], times[times.length - 1]];
      if (wanted !== shape) {
        shape = wanted;
        make(lines);
      }
      drawn.setData([times, ...lines.map(({ values }) => values)]);
    },
  };
}

function hour(at, exact = false) {
  const told = new Date(at * 1000).toTimeString().slice(0, 8);
  return exact ? told : told.slice(0, 5);
}
