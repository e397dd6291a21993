// Trace: what caused what, and how does it lie in time? A tree, so that a canvas reads as one.

import { h, Keyed, say } from "/static/dom.js";
import { clock, count, precise, query, seconds } from "/static/format.js";

export const title = "Trace";
export const url = (_, id) => `/api/traces/${encodeURIComponent(id)}`;

export function build(root, { place, rest, title: heading }) {
  const facts = h("p", { class: "facts" });
  const ruler = h("div", { class: "ruler", "aria-hidden": "true" });
  const tree = h("div", { class: "tree", role: "tree", "aria-label": "Spans" });
  const gone = h(
    "p",
    { class: "empty card", hidden: true },
    `Trace ${rest} is not here, or not any more.`,
  );
  const box = h("div", { class: "card waterfall" }, ruler, tree);
  root.append(facts, box, gone);
  const folded = new Set();
  let opened = place.searchParams.get("span") ?? "";
  let told = null;
  let first = true;

  const toggle = (span) => {
    opened = opened === span.span_id ? "" : span.span_id;
    draw();
  };
  const fold = (span, away) => {
    if (away) folded.add(span.span_id);
    else folded.delete(span.span_id);
    draw();
  };

  const rows = new Keyed(
    tree,
    (span) => span.span_id,
    (span) => {
      const twist = h("span", {
        class: "twist",
        "aria-hidden": "true",
        onclick(event) {
          event.stopPropagation();
          fold(span, !folded.has(span.span_id));
        },
      });
      const name = h(
        "span",
        { class: "label" },
        twist,
        h("span", { class: "what" }, span.name),
        h("small", {}, span.service),
      );
      name.style.setProperty("--depth", Math.min(span.depth, 12));
      const waited = h("i", { class: "waited" });
      const bar = h("i", { class: `bar ${span.error ? "bad" : span.kind}` });
      const line = h(
        "div",
        {
          class: "line",
          "data-row": true,
          role: "treeitem",
          tabindex: "-1",
          "aria-level": span.depth + 1,
          "aria-label": `${span.name}, ${span.service}, ${seconds(span.end - span.start)}${span.error ? ", error" : ""}`,
          onclick: () => toggle(span),
          onfocus: () =>
            tree
              .querySelectorAll(".line")
              .forEach((each) => each.setAttribute("tabindex", each === line ? "0" : "-1")),
          onkeydown(event) {
            if (event.key === "Enter" || event.key === " ") toggle(span);
            else if (event.key === "ArrowLeft") fold(span, true);
            else if (event.key === "ArrowRight") fold(span, false);
            else return;
            event.preventDefault();
          },
        },
        name,
        h("span", { class: "strip" }, waited, bar),
        h("span", { class: "length" }, seconds(span.end - span.start)),
      );
      const node = h("div", { class: "span", role: "none" }, line);
      let inside = null;
      return {
        node,
        update(now) {
          const wait =
            Math.max(Math.min(now.wait ?? 0, now.left * told.seconds), 0) / (told.seconds || 1);
          bar.style.left = `${now.left * 100}%`;
          bar.style.width = `${(now.right - now.left) * 100}%`;
          waited.style.left = `${(now.left - wait) * 100}%`;
          waited.style.width = `${wait * 100}%`;
          node.hidden = now.hidden;
          say(twist, now.parent ? (folded.has(now.span_id) ? "▸" : "▾") : "");
          if (now.parent) line.setAttribute("aria-expanded", String(!folded.has(now.span_id)));
          const open = opened === now.span_id;
          line.setAttribute("aria-selected", String(open));
          if (open && !inside) node.append((inside = details(now, told)));
          if (!open && inside) inside = inside.remove();
        },
      };
    },
  );

  function draw() {
    if (!told) return;
    let under = Infinity; // the depth of the folded span that hides what is below it
    told.spans.forEach((span, at) => {
      span.parent = (told.spans[at + 1]?.depth ?? 0) > span.depth;
      if (span.depth <= under) under = Infinity;
      span.hidden = under < Infinity;
      if (!span.hidden && folded.has(span.span_id)) under = span.depth;
    });
    rows.update(told.spans);
    if (!tree.querySelector('[tabindex="0"]'))
      tree.querySelector(".line")?.setAttribute("tabindex", "0");
  }

  return (answer) => {
    gone.hidden = answer !== null;
    box.hidden = facts.hidden = answer === null;
    if (!answer) return;
    told = answer;
    const root = told.spans[0];
    say(heading, root.name);
    document.title = `${root.name} · otel-celery view`;
    say(
      facts,
      `${count(told.spans.length)} spans in ${seconds(told.seconds)}, from ${clock(told.start)}, ` +
        `${told.services.join(", ")}. Trace ${told.trace_id}. A pale bar is the wait before a task began.`,
    );
    const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => seconds(share * told.seconds));
    if (ruler.textContent !== marks.join(""))
      ruler.replaceChildren(...marks.map((mark) => h("span", {}, mark)));
    draw();
    if (first && opened)
      tree.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "center" });
    first = false;
  };
}

function details(span, told) {
  const id = span.attributes["messaging.message.id"];
  const names = Object.entries(span.attributes);
  const near = span.links.map(([trace, other]) =>
    h(
      "a",
      { href: `/traces/${trace}?span=${other}` },
      trace === told.trace_id ? "linked span" : "linked trace",
    ),
  );
  return h(
    "div",
    { class: "inside" },
    span.error ? h("p", { class: "problem" }, span.error) : null,
    span.failure?.traceback
      ? h("pre", { tabindex: "0", "aria-label": "Traceback" }, span.failure.traceback)
      : null,
    h(
      "p",
      { class: "facts" },
      h("span", {}, `${span.kind}, from ${precise(span.start)} to ${precise(span.end)}`),
      id ? h("a", { href: `/search${query({ id })}` }, "all deliveries of this task id") : null,
      ...near,
    ),
    h(
      "dl",
      {},
      ...names.flatMap(([name, value]) => [
        h("dt", {}, name),
        h("dd", {}, typeof value === "string" ? value : JSON.stringify(value)),
      ]),
    ),
  );
}
