// Mails: how a list and the pane beside it show them.

import { bytes, clock, code, drawing, el, face, facts, pairs } from "./elements.js";
import { root, say } from "./words.js";

const SOURCE_LIMIT = 500_000;
let tab = "html";

const people = (list) => (list[0] || "–") + (list.length > 1 ? ` ${say("others", list.length - 1)}` : "");
const api = (id, rest = "") => `api/mails/${encodeURIComponent(id)}${rest}`;

export const mails = {
  name: "mails",
  api: "api/mails",
  hash: (id) => `#${id}`,
  words: { title: "mailbox", search: "search", count: "count", nothing: "nothing", pick: "pick", gone: "gone", back: "back", deleteTitle: "deleteTitle", heroTitle: "heroTitle", heroText: "heroText" },
  row(mail) {
    return [face(mail.rcpt_to[0] || "?"), el("span", { class: "to" }, people(mail.rcpt_to)),
      el("time", { datetime: mail.received_at, title: clock(mail.received_at, true) }, clock(mail.received_at)),
      el("span", { class: "subject" }, mail.subject || say("noSubject"))];
  },
  show,
  guide() {
    const smtp = root.dataset.smtp;
    const cut = smtp.lastIndexOf(":");
    return [
      el("div", { class: "card" }, el("h2", {}, say("connectTitle")), el("p", {}, say("connectText")),
        facts([say("host"), smtp.slice(0, cut)], [say("port"), smtp.slice(cut + 1)], [say("login"), say("loginValue")], [say("tls"), say("tlsValue")])),
      el("div", { class: "card" }, el("h2", {}, say("tryTitle")), el("p", {}, say("tryText")),
        pairs([code("bounce@example.com"), say("bounce")], [code("busy@example.com"), say("busy")], [code("slow@example.com"), say("slow", 3)])),
    ];
  },
  scripts: () => [["GET /api/mails?to=&subject=&limit=", say("apiList")], ["GET /api/mails/{id}", say("apiOne")], ["GET /api/mails/{id}/source", say("apiSource")], ["DELETE /api/mails", say("apiDelete")]],
};

function show(pane, mail, back) {
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
        onclick: () => { tab = kind; show(pane, mail, back); pane.querySelector(`[data-tab="${kind}"]`).focus(); } }, say(kind))),
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
function tabKeys(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...event.currentTarget.querySelectorAll("[role=tab]")];
  const at = buttons.findIndex((button) => button.getAttribute("aria-selected") === "true");
  buttons[(at + step + buttons.length) % buttons.length].click();
}
