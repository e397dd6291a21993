// What does a person do when nothing has come yet?

import { h } from "/static/dom.js";

export function empty(what) {
  const code = [
    `export OTEL_EXPORTER_OTLP_ENDPOINT=${location.origin}`,
    "export OTEL_METRIC_EXPORT_INTERVAL=1000 OTEL_CELERY_QUEUE_INTERVAL=1",
    "celery -A proj worker",
  ];
  return h(
    "div",
    { class: "card empty" },
    h("h2", {}, what),
    h("p", {}, "Point publishers, workers and beat here, and start them:"),
    h("pre", { tabindex: "0", "aria-label": "Commands" }, code.join("\n")),
    h(
      "p",
      { class: "muted" },
      "The first line is enough. The second has numbers sent each second; else it is every 15. " +
        "The app is one that calls otel_celery.instrument(app). Or try ",
      h("code", {}, "otel-celery demo --view"),
      ".",
    ),
  );
}

// Show either what is there or how something gets there.
export function either(full, what) {
  const nothing = empty(what);
  nothing.hidden = full.hidden = true;
  return {
    nodes: [nothing, full],
    update(some) {
      nothing.hidden = some;
      full.hidden = !some;
    },
  };
}
