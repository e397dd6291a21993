// How do rows become a table that a phone, a keyboard and a screen reader can read?
// On a narrow screen each row is a card; roles are written out because CSS would take them away.

import { arrange, h, Keyed, say } from "/static/dom.js";

// columns: { label, text(row) | fill(cell, row), href(row)?, cls?, tone(row)? }; the first one names the row.
export function table(label, columns, key) {
  const body = h("tbody", { role: "rowgroup" });
  const head = h(
    "tr",
    { role: "row" },
    ...columns.map((column) =>
      h("th", { role: "columnheader", scope: "col", class: column.cls }, column.label),
    ),
  );
  const node = h(
    "table",
    { role: "table", "aria-label": label },
    h("thead", { role: "rowgroup" }, head),
    body,
  );
  const rows = new Keyed(body, key, () => makeRow(columns));
  return { node: h("div", { class: "card table" }, node), update: (items) => rows.update(items) };
}

function makeRow(columns) {
  const cells = columns.map((column, place) =>
    place
      ? h("td", { role: "cell", class: column.cls, "data-label": column.label })
      : h("th", { role: "rowheader", scope: "row", class: column.cls }),
  );
  const links = columns.map((column, place) => {
    if (!column.href) return null;
    const link = h("a", place ? {} : { "data-row": true });
    cells[place].append(link);
    return link;
  });
  const node = h("tr", { role: "row" }, ...cells);
  const update = (row) => {
    columns.forEach((column, place) => {
      if (links[place]) {
        const href = column.href(row);
        if (links[place].getAttribute("href") !== href) links[place].setAttribute("href", href);
      }
      const target = links[place] ?? cells[place];
      if (column.fill) column.fill(target, row);
      else say(target, column.text(row));
      if (column.tone) cells[place].dataset.tone = column.tone(row) ?? "";
    });
  };
  return { node, update };
}

// Two lines in one cell: what matters, and what belongs to it.
export function twoLines(cell, first, second) {
  if (cell.children.length !== 2) arrange(cell, [h("span", { class: "main" }), h("small")]);
  say(cell.children[0], first);
  say(cell.children[1], second);
}
