// About: what is kept, what can programs ask, and what is right for production?

import { h } from "/static/dom.js";
import { bytes, count } from "/static/format.js";

export const title = "Limits, JSON, and production";
export const url = () => "/api/status";

const ANSWERS = [
  ["/api/tasks", "runs, outcomes, p50 and p95 of wait and run, rates of the last five minutes"],
  ["/api/queues", "depth, age, consumers"],
  ["/api/workers", "heartbeat, what they hold, CPU, memory, processes that ended"],
  ["/api/failures", "what ended badly, with traceback"],
  ["/api/search?q=&id=&task=&state=&worker=", "deliveries that have ended"],
  ["/api/traces/{trace id}", "one trace, as a tree of bars"],
  ["/api/status", "how full the memory is"],
];

export function build(root) {
  const limits = h("ul");
  root.append(
    h(
      "section",
      { class: "card text" },
      h("h2", {}, "Production is something else"),
      h(
        "p",
        {},
        "This page is for development: one process, one machine, nothing on disk, no history, no alerts. " +
          "In production send to an OpenTelemetry Collector, and from there to Prometheus, Jaeger or Tempo, Grafana, Sentry. " +
          "The same variable leads there, and the names are the same. The project has that pipeline ready to run: ",
        h("code", {}, "docs/pipeline.md"),
        ". What this page can and cannot do: ",
        h("code", {}, "docs/view.md"),
        ".",
      ),
    ),
    h("section", { class: "card text" }, h("h2", {}, "What is kept"), limits),
    h(
      "section",
      { class: "card text" },
      h("h2", {}, "The same as JSON"),
      h(
        "dl",
        {},
        ...ANSWERS.flatMap(([path, what]) => [
          h(
            "dt",
            {},
            path.includes("{")
              ? h("code", {}, path)
              : h("a", { href: path.replace(/\?.*/, "") }, path),
          ),
          h("dd", {}, what),
        ]),
      ),
    ),
    h(
      "section",
      { class: "card text" },
      h("h2", {}, "Keys"),
      h(
        "p",
        {},
        "/ goes to the search. Arrows go from row to row, Enter opens one. In a trace, left and right fold and unfold.",
      ),
    ),
  );
  return ({ kept, limits: most, version }) => {
    limits.replaceChildren(
      ...[
        `${count(kept.traces)} traces, at most ${count(most.traces)}; the oldest leave first, ${count(kept.forgotten_traces)} have`,
        `${count(kept.spans)} spans, at most ${count(most.spans)}, and ${count(most.trace_spans)} in one trace`,
        `${bytes(kept.span_bytes)} of spans as they were sent, at most ${bytes(most.span_bytes)}`,
        `${count(kept.series)} series, at most ${count(most.series)}; only metrics of otel-celery`,
        `dropped: ${count(kept.dropped_spans)} spans, ${count(kept.dropped_points)} points`,
        `otel-celery ${version}`,
      ].map((line) => h("li", {}, line)),
    );
  };
}
