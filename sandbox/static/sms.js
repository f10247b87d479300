// SMS: how a list and the pane beside it show them.

import { clock, code, el, face, facts, pairs } from "./elements.js";
import { root, say } from "./words.js";

const FATES = 8;

const state = (sms) => el("span", { class: `state ${sms.state}` }, say(`state_${sms.state}`));

export const sms = {
  name: "sms",
  api: "api/sms",
  hash: (id) => `#sms${id && "/"}${id}`,
  words: { title: "sms", search: "searchSms", count: "countSms", nothing: "nothingSms", pick: "pickSms", gone: "goneSms", back: "backSms", deleteTitle: "deleteTitleSms", heroTitle: "heroTitleSms", heroText: "heroTextSms" },
  stale: (now, shown) => now.state !== shown.state,
  row(item) {
    return [face(item.phone, item.phone.slice(-2)), el("span", { class: "to" }, item.phone),
      el("time", { datetime: item.sent_at, title: clock(item.sent_at, true) }, clock(item.sent_at)),
      el("span", { class: "subject" }, item.content), state(item)];
  },
  show(pane, item, back) {
    const line = (name, ...value) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, ...value));
    const receipt = item.receipt_code ? code(item.receipt_code) : say("notYet");
    pane.replaceChildren(
      el("div", { class: "head" }, back, el("h1", {}, item.phone),
        el("div", { class: "envelope" }, face(item.phone, item.phone.slice(-2)),
          el("div", { class: "people" }, el("div", {}, item.sign_name), el("div", { class: "from" }, item.template_code)),
          el("div", { class: "when" }, el("div", {}, clock(item.sent_at, true)), state(item)))),
      el("div", { class: "body scroll", tabindex: 0 }, el("p", { class: "bubble" }, item.content),
        el("table", {}, el("tbody", {},
          line(say("number"), item.phone), line(say("signName"), item.sign_name), line(say("templateCode"), code(item.template_code)),
          line("OutId", item.out_id ? code(item.out_id) : say("none")), line("BizId", code(item.biz_id)),
          line(say("sentAt"), clock(item.sent_at, true)), line(say("receiptCode"), receipt),
          line(say("receiptAt"), item.receipt_at ? clock(item.receipt_at, true) : say("notYet"))))));
  },
  guide() {
    const fate = (number) => [code(`199000${number}…`), say(`fate${number}`)];
    return [
      el("div", { class: "card" }, el("h2", {}, say("connectTitle")), el("p", {}, say("connectTextSms")),
        facts([say("endpoint"), `http://${root.dataset.sms}`], [say("api"), "Dysmsapi 2017-05-25"], [say("signature"), say("signatureValue")])),
      el("div", { class: "card" }, el("h2", {}, say("tryTitle")), el("p", {}, say("tryTextSms")),
        pairs(...Array.from({ length: FATES }, (_, index) => fate(index + 1)))),
    ];
  },
  scripts: () => [["GET /api/sms?to=&out_id=&q=", say("apiSms")], ["GET /control/sms/calls", say("apiCalls")], ["POST /control/sms/faults", say("apiFaults")], ["PUT /control/sms/receipts", say("apiReceipts")], ["DELETE /api/sms", say("apiDelete")]],
};
