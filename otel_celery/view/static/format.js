// How does a number read to a person? What is not known is a dash, never 0.

export const NONE = "–";

export function seconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 0.0095)
    return value === 0 ? "0 ms" : value < 0.001 ? "<1 ms" : `${(value * 1000).toFixed(1)} ms`;
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 59.95 && Number.isInteger(value)) return `${value} s`;
  if (value < 59.95) return `${value.toFixed(value < 9.995 ? 2 : 1)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60) % 60} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
}

export function count(value) {
  return value === null || value === undefined ? NONE : value.toLocaleString("en");
}

export function rate(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "0/s";
  if (value < 0.05) return "<0.1/s";
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)}/s`;
}

export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

export function share(value) {
  return value === null || value === undefined ? NONE : `${Math.round(value * 100)} %`;
}

export function ago(at, now) {
  const age = Math.max(now - at, 0);
  return age < 60 ? `${Math.floor(age)} s ago` : clock(at);
}

const time = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

export function clock(at) {
  return at === null || at === undefined ? NONE : time.format(at * 1000);
}

export function precise(at) {
  return `${clock(at)}.${String(Math.floor((at % 1) * 1000)).padStart(3, "0")}`;
}

export function last(line) {
  for (let place = line.length - 1; place >= 0; place--)
    if (line[place] !== null) return line[place];
  return null;
}

export function query(fields) {
  const given = Object.entries(fields).filter(([, value]) => value);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
