// The page: asks the API every second for mails, SMS, app push and devices, and shows what it says.

import { $, code, drawing, el, pairs } from "./elements.js";
import { app } from "./app.js";
import { devices } from "./devices.js";
import { mails } from "./mails.js";
import { sms } from "./sms.js";
import { memory, root, say, speakOther } from "./words.js";

const PAGE = 100;
const WIDE = matchMedia("(min-width: 721px)");

// known: ids seen in the list before, to point out new ones; current: the message shown.
const VIEWS = [mails, sms, app, devices].map((kind) => ({ ...kind, etag: "", limit: PAGE, items: [], total: 0, known: null, current: null }));
let view = VIEWS[0];
let seen = new Set(JSON.parse(memory.get("seen") || "[]"));
const word = (key, ...values) => say(view.words[key], ...values);
const query = () => $("search").value.trim();

// --- the list ---

async function refresh() {
  await Promise.all(VIEWS.map(ask));
}
async function ask(one) {
  const looked = one === view ? query() : "";
  const url = `${one.api}?${new URLSearchParams({ q: looked, limit: one.limit })}`;
  try {
    const answer = await fetch(url, { cache: "no-store", headers: one.etag ? { "If-None-Match": one.etag } : {} });
    online(true);
    if (answer.status !== 200 || looked !== (one === view ? query() : "")) return;
    one.etag = answer.headers.get("ETag");
    const { items, total_entries: total } = await answer.json();
    Object.assign(one, { items, total });
    if (!looked) $(`tally-${one.name}`).textContent = total;
    if (one === view) { showList(); update(); } else one.known ??= new Set(items.map((item) => item.id));
  } catch {
    online(false);
    one.etag = "";
  }
}
function online(yes) {
  $("live").classList.toggle("off", !yes);
  $("live-text").textContent = say(yes ? "live" : "offline");
}
function showList() {
  const { items, total, known, limit } = view;
  const looked = query();
  const focused = document.activeElement?.dataset?.id;
  const fresh = looked || known === null ? new Set() : new Set(items.map((item) => item.id).filter((id) => !known.has(id)));
  if (!looked) view.known = new Set(items.map((item) => item.id));
  $("messages").replaceChildren(...items.map((item) => el("li", {}, row(item, fresh.has(item.id)))));
  if (focused) $("messages").querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const empty = total === 0 && !looked && !view.acts;
  $("main").classList.toggle("empty", empty);
  $("welcome").hidden = !empty;
  $("nothing").hidden = total > 0 || empty;
  $("more").hidden = items.length >= total || limit >= 1000;
  $("count").textContent = looked ? say("found", total) : word("count", total);
  $("delete").disabled = empty || Boolean(view.acts);
  $("act").hidden = !view.acts;
  document.title = total && !looked ? `${word("title")} (${total})` : word("title");
  if (empty && view.current) location.hash = view.hash("");
  // Nothing to read yet: show the newest, so that somebody who waits for a message sees it arrive.
  else if (!view.current && !place().id && WIDE.matches && items.length && !looked) history.replaceState(null, "", view.hash(items[0].id)), open_();
}
function row(item, fresh) {
  const classes = `row ${view.name}${seen.has(item.id) ? "" : " unseen"}${fresh ? " fresh" : ""}`;
  return el("a", { class: classes, href: view.hash(item.id), "data-id": item.id, "aria-current": String(item.id === view.current?.id) }, ...view.row(item));
}
function markCurrent() {
  for (const link of $("messages").querySelectorAll(".row")) {
    const here = link.dataset.id === view.current?.id;
    link.setAttribute("aria-current", String(here));
    if (here) { link.classList.remove("unseen"); link.scrollIntoView({ block: "nearest" }); }
  }
}

// --- one message ---

// What the address names: a view, and a message in it or nothing.
function place() {
  const text = decodeURIComponent(location.hash.slice(1));
  for (const one of VIEWS.slice(1)) {
    if (text === one.name || text.startsWith(`${one.name}/`)) return { view: one, id: text.slice(one.name.length + 1) };
  }
  return { view: VIEWS[0], id: text };
}
async function open_() {
  const { view: chosen, id } = place();
  if (chosen !== view) turnTo(chosen);
  $("main").classList.toggle("reading", Boolean(id));
  if (!id) { view.current = null; markCurrent(); showMessage(); return; }
  let message = null;
  try {
    const answer = await fetch(`${view.api}/${encodeURIComponent(id)}`, { cache: "no-store" });
    if (answer.ok) message = await answer.json();
  } catch { online(false); }
  const now = place();
  if (chosen !== now.view || id !== now.id) return; // another was chosen meanwhile
  view.current = message || { id, removed: true };
  seen.add(id);
  seen = new Set([...seen].slice(-2000));
  memory.set("seen", JSON.stringify([...seen]));
  markCurrent();
  showMessage();
}
function showMessage() {
  const pane = $("message");
  const { current } = view;
  const back = el("button", { class: "quiet back", onclick: leave }, drawing("M12 4l-6 6 6 6"), word("back"));
  if (!current || current.removed) pane.replaceChildren(el("p", { class: "pick" }, current ? word("gone") : word("pick")), ...(current ? [back] : []));
  else view.show(pane, current, back, open_);
}
// A receipt that has come since the SMS was opened, or a message that a device has got.
function update() {
  const now = view.items.find((item) => item.id === view.current?.id);
  if (now && view.stale?.(now, view.current)) open_();
}
function leave() { location.hash = view.hash(""); $("search").blur(); }

// --- views, words, theme, guide ---

function turnTo(chosen) {
  for (const one of VIEWS) Object.assign(one, { etag: "", limit: PAGE });
  view = chosen;
  view.current = null;
  $("search").value = "";
  speak();
  refresh();
}
function help() {
  const key = (...names) => names.flatMap((name, i) => (i ? [" ", el("kbd", {}, name)] : [el("kbd", {}, name)]));
  $("guide-body").replaceChildren(...view.guide(),
    el("div", { class: "card" }, el("h2", {}, say("keysTitle")), pairs(
      [key("j", "k"), say("keyMove")], [key("/"), say("keySearch")], [key("m", "s", "p", "d"), say("keyViews")], [key("1", "2", "3", "4"), say("keyTabs")], [key("Esc"), say("keyBack")], [key("?"), say("keyHelp")])),
    el("div", { class: "card" }, el("h2", {}, say("scriptTitle")), pairs(...view.scripts().map(([call, text]) => [code(call), text]))),
    el("div", { class: "actions" }, el("button", { class: "plain", onclick: () => $("guide").close() }, say("close"))));
  $("guide").showModal();
  $("guide").scrollTop = 0;
}
function speak() {
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const [data, attribute] of [["sayPlaceholder", "placeholder"], ["sayLabel", "aria-label"], ["sayTitle", "title"]]) {
    const name = data.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    for (const node of document.querySelectorAll(`[data-${name}]`)) node.setAttribute(attribute, say(node.dataset[data]));
  }
  for (const one of VIEWS) $(`view-${one.name}`).setAttribute("aria-current", String(one === view));
  $("search").setAttribute("placeholder", word("search"));
  $("search").setAttribute("aria-label", word("search"));
  $("nothing").textContent = word("nothing");
  $("list").setAttribute("aria-label", say(view.name));
  $("language").textContent = say("other");
  $("language").lang = root.lang === "zh" ? "en" : "zh";
  $("welcome").replaceChildren(el("div", { class: "hero" }, el("img", { src: "static/icon.svg", alt: "" }), el("h1", {}, word("heroTitle")), el("p", {}, word("heroText"))), ...view.guide());
  if (view.known) showList();
  showMessage();
  online(!$("live").classList.contains("off"));
}
function paint(theme) {
  if (theme) root.dataset.theme = theme;
}

// --- what the user does ---

function move(step) {
  const { items, current } = view;
  const at = items.findIndex((item) => item.id === current?.id);
  const next = items[at < 0 ? 0 : Math.min(Math.max(at + step, 0), items.length - 1)];
  if (next) location.hash = view.hash(next.id);
}
$("act").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = view.hash(`${$("act-kind").value}/${$("act-name").value.trim()}`);
  $("act-name").value = "";
});
$("language").addEventListener("click", () => { speakOther(); speak(); });
$("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  paint(dark ? "light" : "dark");
  memory.set("theme", root.dataset.theme);
});
$("help").addEventListener("click", help);
$("more").addEventListener("click", () => { view.limit = Math.min(view.limit + PAGE, 1000); view.etag = ""; refresh(); });
$("search").addEventListener("input", () => { view.limit = PAGE; view.etag = ""; refresh(); });
$("delete").addEventListener("click", () => { $("ask-title").textContent = word("deleteTitle", view.total); $("ask").returnValue = ""; $("ask").showModal(); });
$("ask").addEventListener("close", async () => {
  if ($("ask").returnValue !== "yes") return;
  await fetch(view.api, { method: "DELETE" }).catch(() => online(false));
  $("search").value = "";
  location.hash = view.hash("");
  view.etag = "";
  refresh();
});
addEventListener("hashchange", open_);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("#act")) return;
  const typing = event.target === $("search");
  if (event.key === "Escape") {
    if (typing) { $("search").value = ""; $("search").dispatchEvent(new Event("input")); $("search").blur(); } else leave();
  } else if (typing) {
    if (event.key === "Enter" && view.items.length) location.hash = view.hash(view.items[0].id);
    return;
  } else if (event.key === "/") { $("search").focus(); $("search").select(); }
  else if (event.key === "?") help();
  else if (event.key === "m") location.hash = VIEWS[0].hash("");
  else if (event.key === "s") location.hash = VIEWS[1].hash("");
  else if (event.key === "p") location.hash = VIEWS[2].hash("");
  else if (event.key === "d") location.hash = VIEWS[3].hash("");
  else if (event.key === "j" || (event.key === "ArrowDown" && !event.target.closest?.("pre, .scroll"))) move(1);
  else if (event.key === "k" || (event.key === "ArrowUp" && !event.target.closest?.("pre, .scroll"))) move(-1);
  else if ("1234".includes(event.key)) $("message").querySelector(`[data-tab="${["html", "text", "headers", "source"][event.key - 1]}"]`)?.click();
  else return;
  event.preventDefault();
});

paint(memory.get("theme"));
view = place().view;
speak();
if (place().id) open_();
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
