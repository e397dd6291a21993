// How is an element made and changed, without markup in strings?

const SVG = "http://www.w3.org/2000/svg";

// Make an element: h("a", { href, class, onclick, "aria-label": ... }, "text", node, ...).
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Set a text only where it differs, so that what a person has selected stays selected.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Bring the children of a node into an order, moving only those that stand wrong.
export function arrange(parent, children) {
  children.forEach((child, place) => {
    if (parent.children[place] !== child)
      parent.insertBefore(child, parent.children[place] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

// A line for each key, kept from update to update: focus, selection and open details stay.
export class Keyed {
  #rows = new Map();

  constructor(parent, key, make) {
    this.parent = parent;
    this.key = key;
    this.make = make; // (item) -> { node, update(item) }
  }

  update(items) {
    const rows = new Map();
    for (const item of items) {
      const key = this.key(item);
      const row = this.#rows.get(key) ?? this.make(item);
      row.update?.(item);
      rows.set(key, row);
    }
    this.#rows = rows;
    arrange(
      this.parent,
      [...rows.values()].map((row) => row.node),
    );
  }
}
