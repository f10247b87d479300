// The mailbox page: asks the API every second, and shows what it says.
"use strict";

const WORDS = {
  en: {
    mailbox: "Mailbox", live: "Live", offline: "Not connected", search: "Search recipient, sender or subject",
    theme: "Light or dark", help: "Help", deleteAll: "Delete all", mails: "Mails", more: "Show more",
    nothing: "No mail matches.", other: "中文", keep: "Keep them", noSubject: "(no subject)", pick: "Choose a mail to read it here.",
    deleteTitle: (n) => `Delete ${n === 1 ? "the one mail" : `all ${n} mails`}?`,
    deleteText: "They are removed from the sandbox's folder for good.",
    count: (n) => (n === 1 ? "1 mail" : `${n} mails`), found: (n) => `${n} found`,
    from: "from", noSender: "(no sender: a bounce)", others: (n) => `and ${n} more`, back: "All mails",
    html: "HTML", text: "Text", headers: "Headers", source: "Source", download: "Download .eml",
    remote: "This mail refers to files on the internet. They are not loaded here.", gone: "This mail was removed.",
    cut: "Only the beginning is shown; the download has all of it.", close: "Close",
    heroTitle: "Waiting for the first mail", heroText: "Whatever is sent to this mail server appears here within a second. Nothing leaves this machine.",
    connectTitle: "Where to send", connectText: "Enter this in your sender configuration.",
    host: "Host", port: "Port", login: "Login", loginValue: "any, or none", tls: "Encryption", tlsValue: "none",
    tryTitle: "Try what goes wrong", tryText: "These names fail on purpose, at any domain; bounce+7@… works too.",
    bounce: "Refused for good: 550, no such mailbox.", busy: "Refused for now: 451, try again later.",
    slow: (n) => `Taken, but the answer comes ${n} seconds late.`,
    keysTitle: "Keys", keyMove: "next, previous mail", keySearch: "search", keyTabs: "HTML, text, headers, source",
    keyBack: "back", keyHelp: "this help", scriptTitle: "For tests and scripts",
    apiList: "the newest mails as JSON", apiOne: "one mail, decoded", apiSource: "as it came", apiDelete: "removes all",
  },
  zh: {
    mailbox: "收件箱", live: "实时", offline: "连接已断开", search: "搜索收件人、发件人或主题",
    theme: "浅色 / 深色", help: "帮助", deleteAll: "全部删除", mails: "邮件", more: "显示更多",
    nothing: "没有匹配的邮件。", other: "English", keep: "保留", noSubject: "（无主题）", pick: "选择一封邮件，在此阅读。",
    deleteTitle: (n) => `删除全部 ${n} 封邮件？`, deleteText: "邮件将从沙箱的文件夹中永久删除。",
    count: (n) => `${n} 封邮件`, found: (n) => `找到 ${n} 封`,
    from: "来自", noSender: "（无发件人：退信）", others: (n) => `等 ${n + 1} 人`, back: "全部邮件",
    html: "HTML", text: "纯文本", headers: "邮件头", source: "源码", download: "下载 .eml",
    remote: "此邮件引用了互联网上的文件，这里不会加载。", gone: "此邮件已被删除。",
    cut: "仅显示开头部分，完整内容请下载。", close: "关闭",
    heroTitle: "等待第一封邮件", heroText: "发送到此邮件服务器的内容会在一秒内显示在这里，不会离开本机。",
    connectTitle: "发送到这里", connectText: "把以下内容填入发送方配置。",
    host: "主机", port: "端口", login: "登录", loginValue: "任意，或不填", tls: "加密", tlsValue: "无",
    tryTitle: "试试失败的情形", tryText: "以下用户名会按约定失败，域名不限；也可以写成 bounce+7@…。",
    bounce: "永久拒绝：550，邮箱不存在。", busy: "暂时拒绝：451，请稍后重试。",
    slow: (n) => `接收，但 ${n} 秒后才答复。`,
    keysTitle: "快捷键", keyMove: "下一封、上一封", keySearch: "搜索", keyTabs: "HTML、纯文本、邮件头、源码",
    keyBack: "返回", keyHelp: "本帮助", scriptTitle: "供测试和脚本使用",
    apiList: "最新邮件（JSON）", apiOne: "解码后的一封邮件", apiSource: "原始内容", apiDelete: "全部删除",
  },
};
const PAGE = 100;
const SOURCE_LIMIT = 500_000;
const WIDE = matchMedia("(min-width: 721px)");

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } };

let language = stored("language") || root.lang;
let etag = "";
let limit = PAGE;
let items = [];
let total = 0;
let known = null; // ids seen in the list before, to point out new ones
let current = null; // the mail shown
let tab = "html";
let seen = new Set(JSON.parse(stored("seen") || "[]"));
const say = (key, ...values) => { const word = WORDS[language][key]; return typeof word === "function" ? word(...values) : word; };

// An element; strings become text, never markup.
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}
function drawing(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(svg.namespaceURI, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
function face(address) {
  let sum = 0;
  for (const c of address) sum = (sum * 31 + c.codePointAt(0)) % 65521;
  return el("span", { class: `face tone-${sum % 6}`, "aria-hidden": "true" }, [...address][0] || "·");
}
function clock(text, long = false) {
  const time = new Date(text);
  const today = time.toDateString() === new Date().toDateString();
  const hours = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const options = long ? { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" } : today ? hours : { month: "short", day: "numeric" };
  return new Intl.DateTimeFormat(language, options).format(time);
}
const bytes = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1000).toFixed(n < 1e4 ? 1 : 0)} KB` : `${(n / 1e6).toFixed(1)} MB`);
const people = (list) => (list[0] || "–") + (list.length > 1 ? ` ${say("others", list.length - 1)}` : "");
const api = (id, rest = "") => `api/mails/${encodeURIComponent(id)}${rest}`;

// --- the list ---

async function refresh() {
  const query = $("search").value.trim();
  const url = `api/mails?${new URLSearchParams({ q: query, limit })}`;
  try {
    const answer = await fetch(url, { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
    online(true);
    if (answer.status !== 200 || query !== $("search").value.trim()) return;
    etag = answer.headers.get("ETag");
    ({ items, total_entries: total } = await answer.json());
    showList(query);
  } catch {
    online(false);
    etag = "";
  }
}
function online(yes) {
  $("live").classList.toggle("off", !yes);
  $("live-text").textContent = say(yes ? "live" : "offline");
}
function showList(query = $("search").value.trim()) {
  const focused = document.activeElement?.dataset?.id;
  const fresh = query || known === null ? new Set() : new Set(items.map((m) => m.id).filter((id) => !known.has(id)));
  if (!query) known = new Set(items.map((m) => m.id));
  $("mails").replaceChildren(...items.map((mail) => el("li", {}, row(mail, fresh.has(mail.id)))));
  if (focused) $("mails").querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const empty = total === 0 && !query;
  $("main").classList.toggle("empty", empty);
  $("welcome").hidden = !empty;
  $("nothing").hidden = total > 0 || empty;
  $("more").hidden = items.length >= total || limit >= 1000;
  $("count").textContent = say(query ? "found" : "count", total);
  $("delete").disabled = empty;
  document.title = total && !query ? `${say("mailbox")} (${total})` : say("mailbox");
  if (empty && current) location.hash = "";
  // Nothing to read yet: show the newest, so that somebody who waits for a mail sees it arrive.
  else if (!current && !location.hash.slice(1) && WIDE.matches && items.length && !query) history.replaceState(null, "", `#${items[0].id}`), open_();
}
function row(mail, fresh) {
  const to = people(mail.rcpt_to);
  const classes = `row${seen.has(mail.id) ? "" : " unseen"}${fresh ? " fresh" : ""}`;
  return el("a", { class: classes, href: `#${mail.id}`, "data-id": mail.id, "aria-current": String(mail.id === current?.id) },
    face(mail.rcpt_to[0] || "?"), el("span", { class: "to" }, to),
    el("time", { datetime: mail.received_at, title: clock(mail.received_at, true) }, clock(mail.received_at)),
    el("span", { class: "subject" }, mail.subject || say("noSubject")));
}
function markCurrent() {
  for (const link of $("mails").querySelectorAll(".row")) {
    const here = link.dataset.id === current?.id;
    link.setAttribute("aria-current", String(here));
    if (here) { link.classList.remove("unseen"); link.scrollIntoView({ block: "nearest" }); }
  }
}

// --- one mail ---

async function open_() {
  const id = decodeURIComponent(location.hash.slice(1));
  $("main").classList.toggle("reading", Boolean(id));
  if (!id) { current = null; markCurrent(); showMail(); return; }
  let mail = null;
  try {
    const answer = await fetch(api(id), { cache: "no-store" });
    if (answer.ok) mail = await answer.json();
  } catch { online(false); }
  if (id !== decodeURIComponent(location.hash.slice(1))) return; // another was chosen meanwhile
  current = mail || { id, removed: true };
  seen.add(id);
  seen = new Set([...seen].slice(-2000));
  store("seen", JSON.stringify([...seen]));
  markCurrent();
  showMail();
}
function showMail() {
  const pane = $("mail");
  const back = el("button", { class: "quiet back", onclick: leave }, drawing("M12 4l-6 6 6 6"), say("back"));
  if (!current || current.removed) {
    pane.replaceChildren(el("p", { class: "pick" }, current ? say("gone") : say("pick")), ...(current ? [back] : []));
    return;
  }
  const mail = current;
  const recipients = el("div", { title: mail.rcpt_to.join("\n") }, people(mail.rcpt_to));
  if (mail.rcpt_to.length > 1) recipients.addEventListener("click", () => { recipients.textContent = mail.rcpt_to.join(", "); recipients.className = "all"; });
  const kinds = ["html", "text", "headers", "source"].filter((kind) => !(kind === "html" && mail.html === null) && !(kind === "text" && mail.text === null));
  const chosen = kinds.includes(tab) ? tab : kinds[0];
  const body = el("div", { class: "body", role: "tabpanel", id: "panel" });
  pane.replaceChildren(
    el("div", { class: "head" }, back, el("h1", {}, mail.subject || say("noSubject")),
      el("div", { class: "envelope" }, face(mail.rcpt_to[0] || "?"),
        el("div", { class: "people" }, recipients, el("div", { class: "from" }, `${say("from")} ${mail.mail_from || say("noSender")}`)),
        el("div", { class: "when" }, el("div", {}, clock(mail.received_at, true)), el("div", {}, bytes(mail.size)))),
      mail.attachments.length ? el("div", { class: "files" }, ...mail.attachments.map((file, number) =>
        el("a", { class: "file", href: api(mail.id, `/attachments/${number}`), download: file.name, title: file.content_type },
          drawing("M14.5 9.5l-5 5a3.2 3.2 0 0 1-4.5-4.5l6-6a2.1 2.1 0 0 1 3 3l-6 6a1 1 0 0 1-1.5-1.5l5-5"), el("span", {}, file.name), el("small", {}, bytes(file.size))))) : null),
    el("div", { class: "tabs", role: "tablist", onkeydown: tabKeys },
      ...kinds.map((kind) => el("button", { role: "tab", "data-tab": kind, "aria-controls": "panel", "aria-selected": String(kind === chosen), tabindex: kind === chosen ? 0 : -1,
        onclick: () => { tab = kind; showMail(); $("mail").querySelector(`[data-tab="${kind}"]`).focus(); } }, say(kind))),
      el("a", { href: api(mail.id, "/source"), download: `${mail.id}.eml` }, say("download"))),
    body);
  fill(body, mail, chosen);
}
async function fill(body, mail, kind) {
  if (kind === "html") {
    if (mail.remote_content) body.append(el("p", { class: "note" }, say("remote")));
    // No allow-scripts and no allow-same-origin: the mail can neither run anything nor reach this page.
    body.append(el("iframe", { sandbox: "allow-popups allow-popups-to-escape-sandbox", referrerpolicy: "no-referrer", src: api(mail.id, "/html"), title: mail.subject || say("noSubject") }));
  } else if (kind === "text") {
    body.append(el("pre", { class: "text", tabindex: 0 }, mail.text));
  } else if (kind === "headers") {
    body.append(el("div", { class: "scroll", tabindex: 0 }, el("table", {}, el("tbody", {}, ...mail.headers.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)))))));
  } else {
    const answer = await fetch(api(mail.id, "/source"), { cache: "no-store" });
    if (!answer.ok) { body.append(el("p", { class: "note" }, say("gone"))); return; }
    const source = new TextDecoder().decode(await answer.arrayBuffer());
    if (source.length > SOURCE_LIMIT) body.append(el("p", { class: "note" }, say("cut")));
    body.append(el("pre", { class: "source", tabindex: 0 }, source.slice(0, SOURCE_LIMIT)));
  }
}
function leave() { location.hash = ""; $("search").blur(); }
function tabKeys(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...event.currentTarget.querySelectorAll("[role=tab]")];
  const at = buttons.findIndex((button) => button.getAttribute("aria-selected") === "true");
  buttons[(at + step + buttons.length) % buttons.length].click();
}

// --- words, theme, guide ---

function guide() {
  const smtp = root.dataset.smtp;
  const cut = smtp.lastIndexOf(":");
  const fact = (name, value) => el("div", { class: "fact" }, el("dt", {}, name), el("dd", {}, value));
  const pair = (name, text) => [el("dt", {}, ...[].concat(name)), el("dd", {}, text)];
  return [
    el("div", { class: "card" }, el("h2", {}, say("connectTitle")), el("p", {}, say("connectText")),
      el("dl", { class: "facts" }, fact(say("host"), smtp.slice(0, cut)), fact(say("port"), smtp.slice(cut + 1)), fact(say("login"), say("loginValue")), fact(say("tls"), say("tlsValue")))),
    el("div", { class: "card" }, el("h2", {}, say("tryTitle")), el("p", {}, say("tryText")),
      el("dl", { class: "pairs" }, ...pair(el("code", {}, "bounce@example.com"), say("bounce")), ...pair(el("code", {}, "busy@example.com"), say("busy")), ...pair(el("code", {}, "slow@example.com"), say("slow", 3)))),
  ];
}
function help() {
  const pair = (name, text) => [el("dt", {}, ...[].concat(name)), el("dd", {}, text)];
  const key = (...names) => names.flatMap((name, i) => (i ? [" ", el("kbd", {}, name)] : [el("kbd", {}, name)]));
  $("guide-body").replaceChildren(...guide(),
    el("div", { class: "card" }, el("h2", {}, say("keysTitle")), el("dl", { class: "pairs" },
      ...pair(key("j", "k"), say("keyMove")), ...pair(key("/"), say("keySearch")), ...pair(key("1", "2", "3", "4"), say("keyTabs")), ...pair(key("Esc"), say("keyBack")), ...pair(key("?"), say("keyHelp")))),
    el("div", { class: "card" }, el("h2", {}, say("scriptTitle")), el("dl", { class: "pairs" },
      ...pair(el("code", {}, "GET /api/mails?to=&subject=&limit="), say("apiList")), ...pair(el("code", {}, "GET /api/mails/{id}"), say("apiOne")),
      ...pair(el("code", {}, "GET /api/mails/{id}/source"), say("apiSource")), ...pair(el("code", {}, "DELETE /api/mails"), say("apiDelete")))),
    el("div", { class: "actions" }, el("button", { class: "plain", onclick: () => $("guide").close() }, say("close"))));
  $("guide").showModal();
  $("guide").scrollTop = 0;
}
function speak() {
  root.lang = language;
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const [data, attribute] of [["sayPlaceholder", "placeholder"], ["sayLabel", "aria-label"], ["sayTitle", "title"]]) {
    const name = data.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    for (const node of document.querySelectorAll(`[data-${name}]`)) node.setAttribute(attribute, say(node.dataset[data]));
  }
  $("language").textContent = say("other");
  $("language").lang = language === "zh" ? "en" : "zh";
  $("welcome").replaceChildren(el("div", { class: "hero" }, el("img", { src: "static/icon.svg", alt: "" }), el("h1", {}, say("heroTitle")), el("p", {}, say("heroText"))), ...guide());
  if (known) showList();
  showMail();
  online(!$("live").classList.contains("off"));
}
function paint(theme) {
  if (theme) root.dataset.theme = theme;
}

// --- what the user does ---

function move(step) {
  const at = items.findIndex((mail) => mail.id === current?.id);
  const next = items[at < 0 ? 0 : Math.min(Math.max(at + step, 0), items.length - 1)];
  if (next) location.hash = next.id;
}
$("language").addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; store("language", language); speak(); });
$("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  paint(dark ? "light" : "dark");
  store("theme", root.dataset.theme);
});
$("help").addEventListener("click", help);
$("more").addEventListener("click", () => { limit = Math.min(limit + PAGE, 1000); etag = ""; refresh(); });
$("search").addEventListener("input", () => { limit = PAGE; etag = ""; refresh(); });
$("delete").addEventListener("click", () => { $("ask-title").textContent = say("deleteTitle", total); $("ask").returnValue = ""; $("ask").showModal(); });
$("ask").addEventListener("close", async () => {
  if ($("ask").returnValue !== "yes") return;
  await fetch("api/mails", { method: "DELETE" }).catch(() => online(false));
  $("search").value = "";
  location.hash = "";
  etag = "";
  refresh();
});
addEventListener("hashchange", open_);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target === $("search");
  if (event.key === "Escape") {
    if (typing) { $("search").value = ""; $("search").dispatchEvent(new Event("input")); $("search").blur(); } else leave();
  } else if (typing) {
    if (event.key === "Enter" && items.length) location.hash = items[0].id;
    return;
  } else if (event.key === "/") { $("search").focus(); $("search").select(); }
  else if (event.key === "?") help();
  else if (event.key === "j" || (event.key === "ArrowDown" && !event.target.closest?.("pre, .scroll"))) move(1);
  else if (event.key === "k" || (event.key === "ArrowUp" && !event.target.closest?.("pre, .scroll"))) move(-1);
  else if ("1234".includes(event.key)) $("mail").querySelector(`[data-tab="${["html", "text", "headers", "source"][event.key - 1]}"]`)?.click();
  else return;
  event.preventDefault();
});

paint(stored("theme"));
if (!WORDS[language]) language = "en";
speak();
if (location.hash.slice(1)) open_();
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
