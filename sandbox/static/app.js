// App push: how a list and the pane beside it show it.

import { clock, code, el, face, facts, pairs } from "./elements.js";
import { root, say } from "./words.js";

const FATES = { "invalid-": "fateInvalid", "busy-": "fateBusy", "slow-": "fateSlow", "cut-": "fateCut" };

export const app = {
  name: "app",
  api: "api/app",
  hash: (id) => `#app${id && "/"}${id}`,
  words: { title: "app", search: "searchApp", count: "countApp", nothing: "nothingApp", pick: "pickApp", gone: "goneApp", back: "backApp", deleteTitle: "deleteTitleApp", heroTitle: "heroTitleApp", heroText: "heroTextApp" },
  row(item) {
    return [face(item.to, item.to.slice(-2)), el("span", { class: "to" }, item.to),
      el("time", { datetime: item.at, title: clock(item.at, true) }, clock(item.at)),
      el("span", { class: "subject" }, item.title || item.body), el("span", { class: "state" }, say(`kind_${item.kind}`))];
  },
  show(pane, item, back) {
    const line = (name, ...value) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, ...value));
    pane.replaceChildren(
      el("div", { class: "head" }, back, el("h1", {}, item.title || item.to),
        el("div", { class: "envelope" }, face(item.to, item.to.slice(-2)),
          el("div", { class: "people" }, el("div", {}, item.to), el("div", { class: "from" }, `${item.vendor} · ${item.app}`)),
          el("div", { class: "when" }, el("div", {}, clock(item.at, true)), el("span", { class: "state" }, say(`kind_${item.kind}`))))),
      el("div", { class: "body scroll", tabindex: 0 }, el("p", { class: "bubble" }, item.body),
        el("table", {}, el("tbody", {},
          line(say("target"), `${item.target}: `, code(item.to)), line(say("messageId"), code(item.id)), line(say("sentAt"), clock(item.at, true)))),
        el("h2", {}, say("asSent")), el("pre", {}, JSON.stringify(item.raw, null, 2))));
  },
  guide() {
    return [
      el("div", { class: "card" }, el("h2", {}, say("connectTitle")), el("p", {}, say("connectTextApp")),
        facts([say("endpoint"), `http://${root.dataset.sms}`], [say("api"), "Push 2016-08-01"], [say("signature"), say("signatureValue")])),
      el("div", { class: "card" }, el("h2", {}, say("tryTitle")), el("p", {}, say("tryTextApp")),
        pairs(...Object.entries(FATES).map(([start, word]) => [code(`${start}…`), say(word)]))),
    ];
  },
  scripts: () => [["GET /api/app?to=&q=", say("apiApp")], ["GET /control/app/calls", say("apiCalls")], ["POST /control/app/faults", say("apiFaults")], ["DELETE /api/app", say("apiDelete")]],
};
