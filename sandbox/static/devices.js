// Devices: acting as a user with a page open, or as a phone: what it gets as it comes, and acknowledging it.

import { clock, el, face, pairs } from "./elements.js";
import { say } from "./words.js";

const dot = (item) => (item.kind === "user" ? el("span", { class: `state ${item.connected ? "delivered" : "waiting"}` }, say(item.connected ? "connected" : "away")) : el("span", { class: "state" }, say("kind_phone")));

async function acknowledge(item, message, again) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ device: item.id, message: message.id }) };
  await fetch("api/devices/acknowledge", options).catch(() => null);
  again();
}
function answer(item, message, again) {
  if (!message.can_acknowledge) return el("p", { class: "deed" }, say("noLink"));
  if (message.answer === 204) return el("p", { class: "deed" }, el("span", { class: "state delivered" }, say("acknowledged")));
  const failed = message.answer === null ? [] : [el("span", { class: "state failed" }, say("notTaken", message.answer))];
  return el("p", { class: "deed" }, el("button", { class: "plain", onclick: (event) => { event.target.disabled = true; acknowledge(item, message, again); } }, say("acknowledge")), ...failed);
}

export const devices = {
  name: "devices",
  api: "api/devices",
  acts: true,
  hash: (id) => `#devices${id && "/"}${encodeURIComponent(id)}`,
  words: { title: "devices", search: "searchDevices", count: "countDevices", nothing: "nothingDevices", pick: "pickDevices", gone: "goneDevices", back: "backDevices", deleteTitle: "title", heroTitle: "devices", heroText: "pickDevices" },
  stale: (now, shown) => ["count", "acknowledged", "connected"].some((name) => now[name] !== shown[name]),
  row(item) {
    return [face(item.name, item.name.slice(-2)), el("span", { class: "to" }, item.name),
      el("time", { datetime: item.at, title: clock(item.at, true) }, clock(item.at)),
      el("span", { class: "subject" }, item.title), dot(item)];
  },
  show(pane, item, back, again) {
    const message = (one) => el("li", { class: "got", "data-message": one.id },
      el("time", { datetime: one.at }, clock(one.at, true)), one.title ? el("h2", {}, one.title) : null,
      one.body ? el("p", { class: "bubble" }, one.body) : null,
      one.data === null || one.data === undefined ? null : el("pre", {}, JSON.stringify(one.data, null, 2)), answer(item, one, again));
    pane.replaceChildren(
      el("div", { class: "head" }, back, el("h1", {}, item.name),
        el("div", { class: "envelope" }, face(item.name, item.name.slice(-2)),
          el("div", { class: "people" }, el("div", {}, say(`kind_${item.kind}`)), el("div", { class: "from" }, say("countGot", item.count))), el("div", { class: "when" }, dot(item)))),
      el("div", { class: "body scroll", tabindex: 0 }, item.messages.length ? el("ol", { class: "gots", "aria-live": "polite" }, ...item.messages.map(message)) : el("p", { class: "pick" }, say("waitsFor"))));
  },
  guide() {
    return [el("div", { class: "card" }, el("h2", {}, say("devices")), el("p", {}, say("deviceText")), pairs([say("kind_user"), say("userText")], [say("kind_phone"), say("phoneText")]))];
  },
  scripts: () => [["GET /api/devices?q=", say("apiDevices")], ["GET /api/devices/user/lilei", say("apiDevice")], ["POST /api/devices/acknowledge", say("apiAcknowledge")]],
};
