// What the page says, in both languages.

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
    keysTitle: "Keys", keyMove: "next, previous message", keySearch: "search", keyTabs: "HTML, text, headers, source",
    keyBack: "back", keyHelp: "this help", scriptTitle: "For tests and scripts",
    sms: "SMS", views: "What is shown", searchSms: "Search number, text, template, OutId or BizId", pickSms: "Choose an SMS to read it here.", nothingSms: "No SMS matches.",
    deleteTitleSms: (n) => `Delete ${n === 1 ? "the one SMS" : `all ${n} SMS`}?`, goneSms: "This SMS was removed.", countSms: (n) => `${n} SMS`, backSms: "All SMS",
    state_delivered: "Delivered", state_failed: "Failed", state_waiting: "Waiting", receiptCode: "Carrier’s code", receiptAt: "Receipt", sentAt: "Sent",
    number: "Number", signName: "Sign name", templateCode: "Template", none: "none", notYet: "not there yet",
    heroTitleSms: "Waiting for the first SMS", heroTextSms: "Whatever is sent to this SMS gateway appears here within a second. Nothing leaves this machine.",
    connectTextSms: "The connection push_aliyun_sms_default has this endpoint, the gateway’s key, a sign name and a template.", endpoint: "Endpoint", api: "API", signature: "Signature", signatureValue: "ACS3-HMAC-SHA256, checked",
    tryTextSms: "Numbers that begin like this go wrong on purpose, whatever the last four digits.",
    fate1: "Taken; fails: MOBILE_NOT_ON_SERVICE.", fate2: "Taken; fails: MOBILE_IN_BLACK.", fate3: "Taken; no receipt ever comes.", fate4: "The call is refused: isv.MOBILE_NUMBER_ILLEGAL.",
    fate5: "The call is refused: isv.BUSINESS_LIMIT_CONTROL.", fate6: "The call is refused: isp.SYSTEM_ERROR.", fate7: "Taken, but the answer comes 3 seconds late.", fate8: "Taken, and the connection is cut before the answer.",
    app: "App push", searchApp: "Search device, title or text", pickApp: "Choose a message to read it here.", nothingApp: "No message matches.",
    deleteTitleApp: (n) => `Delete ${n === 1 ? "the one message" : `all ${n} messages`}?`, goneApp: "This message was removed.", countApp: (n) => (n === 1 ? "1 message" : `${n} messages`), backApp: "All messages",
    heroTitleApp: "Waiting for the first message to a phone", heroTextApp: "Whatever is pushed to this sandbox appears here within a second. It reaches no phone.",
    connectTextApp: "The connection push_aliyun_app_default has this endpoint, the key and the AppKey.", kind_notification: "Notification", kind_message: "Message",
    target: "Target", messageId: "MessageId", asSent: "As the API got it", tryTextApp: "Targets that begin like this go wrong on purpose.",
    fateInvalid: "The call is refused: InvalidDeviceId.Format.", fateBusy: "The call is refused: Throttling.User.", fateSlow: "Taken, but the answer comes 3 seconds late.", fateCut: "Taken, and the connection is cut before the answer.",
    devices: "Devices", searchDevices: "Search user or phone", countDevices: (n) => (n === 1 ? "1 device" : `${n} devices`), nothingDevices: "No device has got a message yet, or none matches.",
    pickDevices: "Choose a user or a phone, or act as one: what it gets appears here.", goneDevices: "There is no such device.", backDevices: "All devices", actKind: "Act as", actName: "User id, or device, account or alias", act: "Act",
    kind_user: "User", kind_phone: "Phone", connected: "Connected", away: "Away", acknowledge: "Acknowledge", acknowledged: "Acknowledged", noLink: "It has no link: Airflow has no base_url.", notTaken: (n) => (n ? `Answered with ${n}` : "No answer"),
    countGot: (n) => (n === 1 ? "1 message" : `${n} messages`), waitsFor: "Nothing yet. What is sent to it appears here within a second.", deviceText: "Act as somebody who gets messages, and acknowledge them as their page or app would: the delivery is then delivered.",
    userText: "Gets WebSocket messages; connected while a real page listens.", phoneText: "Gets app push: a device, an account or an alias.", apiDevices: "who got what, as JSON", apiDevice: "one of them, with its messages", apiAcknowledge: "uses a message’s link",
    apiApp: "the newest messages as JSON", keyViews: "mails, SMS, app push, devices", apiSms: "the newest SMS as JSON", apiCalls: "what was called, and how often", apiFaults: "lets the next calls go wrong", apiReceipts: "when receipts come",
    apiList: "the newest mails as JSON", apiOne: "one mail, decoded", apiSource: "as it came", apiDelete: "removes all",
  },
  zh: {
    mailbox: "收件箱", live: "实时", offline: "连接已断开", search: "搜索收件人、发件人或主题",
    theme: "浅色 / 深色", help: "帮助", deleteAll: "全部删除", mails: "邮件", more: "显示更多",
    nothing: "没有匹配的邮件。", other: "English", keep: "保留", noSubject: "（无主题）", pick: "选择一封邮件，在此阅读。",
    deleteTitle: (n) => `删除全部 ${n} 封邮件？`, deleteText: "将从沙箱的文件夹中永久删除。",
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
    keysTitle: "快捷键", keyMove: "下一条、上一条", keySearch: "搜索", keyTabs: "HTML、纯文本、邮件头、源码",
    keyBack: "返回", keyHelp: "本帮助", scriptTitle: "供测试和脚本使用",
    sms: "短信", views: "显示内容", searchSms: "搜索号码、内容、模板、OutId 或 BizId", pickSms: "选择一条短信，在此阅读。", nothingSms: "没有匹配的短信。",
    deleteTitleSms: (n) => `删除全部 ${n} 条短信？`, goneSms: "此短信已被删除。", countSms: (n) => `${n} 条短信`, backSms: "全部短信",
    state_delivered: "已送达", state_failed: "失败", state_waiting: "等待回执", receiptCode: "运营商代码", receiptAt: "回执时间", sentAt: "发送时间",
    number: "号码", signName: "签名", templateCode: "模板", none: "无", notYet: "尚未收到",
    heroTitleSms: "等待第一条短信", heroTextSms: "发送到此短信网关的内容会在一秒内显示在这里，不会离开本机。",
    connectTextSms: "连接 push_aliyun_sms_default 已填好此地址、网关的密钥、签名和模板。", endpoint: "服务地址", api: "接口", signature: "请求签名", signatureValue: "ACS3-HMAC-SHA256，会校验",
    tryTextSms: "以下开头的号码会按约定出错，后四位任意。",
    fate1: "接收；失败：MOBILE_NOT_ON_SERVICE。", fate2: "接收；失败：MOBILE_IN_BLACK。", fate3: "接收；永远没有回执。", fate4: "拒绝调用：isv.MOBILE_NUMBER_ILLEGAL。",
    fate5: "拒绝调用：isv.BUSINESS_LIMIT_CONTROL。", fate6: "拒绝调用：isp.SYSTEM_ERROR。", fate7: "接收，但 3 秒后才答复。", fate8: "接收，但在答复前断开连接。",
    app: "应用推送", searchApp: "搜索设备、标题或内容", pickApp: "选择一条消息，在此阅读。", nothingApp: "没有匹配的消息。",
    deleteTitleApp: (n) => `删除全部 ${n} 条消息？`, goneApp: "此消息已被删除。", countApp: (n) => `${n} 条消息`, backApp: "全部消息",
    heroTitleApp: "等待第一条推送", heroTextApp: "推送到此沙箱的内容会在一秒内显示在这里，不会到达任何手机。",
    connectTextApp: "连接 push_aliyun_app_default 已填好此地址、密钥和 AppKey。", kind_notification: "通知", kind_message: "消息",
    target: "推送目标", messageId: "MessageId", asSent: "接口收到的内容", tryTextApp: "以下开头的目标会按约定出错。",
    fateInvalid: "拒绝调用：InvalidDeviceId.Format。", fateBusy: "拒绝调用：Throttling.User。", fateSlow: "接收，但 3 秒后才答复。", fateCut: "接收，但在答复前断开连接。",
    devices: "设备", searchDevices: "搜索用户或手机", countDevices: (n) => `${n} 个设备`, nothingDevices: "还没有设备收到消息，或没有匹配的设备。",
    pickDevices: "选择一个用户或一部手机，或者扮演一个：它收到的消息会显示在这里。", goneDevices: "没有这个设备。", backDevices: "全部设备", actKind: "扮演", actName: "用户 id，或设备、账号、别名", act: "扮演",
    kind_user: "用户", kind_phone: "手机", connected: "在线", away: "离线", acknowledge: "确认收到", acknowledged: "已确认", noLink: "没有链接：Airflow 没有 base_url。", notTaken: (n) => (n ? `答复是 ${n}` : "没有答复"),
    countGot: (n) => `${n} 条消息`, waitsFor: "还没有消息。发给它的内容会在一秒内显示在这里。", deviceText: "扮演收到消息的人，像他们的页面或 App 那样确认收到：投递就成为“已送达”。",
    userText: "接收 WebSocket 消息；有真实页面在听时显示在线。", phoneText: "接收应用推送：设备、账号或别名。", apiDevices: "谁收到了什么（JSON）", apiDevice: "其中一个和它的消息", apiAcknowledge: "使用一条消息的链接",
    apiApp: "以 JSON 列出最新消息", keyViews: "邮件、短信、应用推送、设备", apiSms: "最新短信（JSON）", apiCalls: "调用记录与次数", apiFaults: "让之后的调用出错", apiReceipts: "设定回执时间",
    apiList: "最新邮件（JSON）", apiOne: "解码后的一封邮件", apiSource: "原始内容", apiDelete: "全部删除",
  },
};

export const root = document.documentElement;
const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } };
export const memory = { get: stored, set: store };

let language = WORDS[stored("language")] ? stored("language") : root.lang;
if (!WORDS[language]) language = "en";
root.lang = language;

export function say(key, ...values) {
  const word = WORDS[language][key];
  return typeof word === "function" ? word(...values) : word;
}
export function speakOther() {
  language = language === "zh" ? "en" : "zh";
  root.lang = language;
  store("language", language);
}
