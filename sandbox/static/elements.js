// What both kinds of messages are drawn with.

import { root } from "./words.js";

export const $ = (id) => document.getElementById(id);

// An element; strings become text, never markup.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}
export function drawing(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(svg.namespaceURI, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
export function face(address, letters = [...address][0]) {
  let sum = 0;
  for (const c of address) sum = (sum * 31 + c.codePointAt(0)) % 65521;
  return el("span", { class: `face tone-${sum % 6}`, "aria-hidden": "true" }, letters || "·");
}
export function clock(text, long = false) {
  const time = new Date(text);
  const today = time.toDateString() === new Date().toDateString();
  const hours = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const options = long ? { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" } : today ? hours : { month: "short", day: "numeric" };
  return new Intl.DateTimeFormat(root.lang, options).format(time);
}
export const bytes = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1000).toFixed(n < 1e4 ? 1 : 0)} KB` : `${(n / 1e6).toFixed(1)} MB`);
export const pairs = (...rows) => el("dl", { class: "pairs" }, ...rows.flatMap(([name, text]) => [el("dt", {}, ...[].concat(name)), el("dd", {}, text)]));
export const facts = (...rows) => el("dl", { class: "facts" }, ...rows.map(([name, value]) => el("div", { class: "fact" }, el("dt", {}, name), el("dd", {}, value))));
export const code = (text) => el("code", {}, text);
