import { addWords } from "../../i18n";

addWords("execution", {
  en: {
    title: "Execution {{id}} of {{task}}",
    redrive: "Send failed ones again",
    redriveQuestion: "Send again to those who did not get it?",
    redriveExplained_one:
      "{{count}} delivery failed or is in doubt. The message goes out again to it, and to no one else.",
    redriveExplained_other:
      "{{count}} deliveries failed or are in doubt. The message goes out again to them, and to no one else.",
    doubt: "Of those in doubt nobody can tell whether the message arrived; they may get it twice:",
    unknown: { task: "as the push task says", resend: "send to them again", hold: "leave them out" },
    redriven: "{{failed}} failed and {{unknown}} in doubt are sent again",
    begun: "Begun {{source}}",
    facts: {
      scheduled: "Scheduled for",
      begun: "Begun",
      started: "Sending began",
      ended: "Ended",
      source: "Started by",
      total: "Recipients",
      delivered: "Arrived, as the provider says",
    },
    noRun: "Its DAG run is being made.",
    deliveries: "Deliveries",
    noDeliveries: "No delivery of this execution matches.",
  },
  "zh-CN": {
    title: "{{task}} 的执行 {{id}}",
    redrive: "重发失败的投递",
    redriveQuestion: "向未收到的人重新发送？",
    redriveExplained: "有 {{count}} 个投递失败或结果不明。消息只会重新发送给他们，不会发送给其他任何人。",
    doubt: "结果不明的投递，无人能确定消息是否已到达；重发可能使其收到两次：",
    unknown: { task: "按推送任务的设置", resend: "重新发送", hold: "不发送" },
    redriven: "正在重发：失败 {{failed}} 个，不明 {{unknown}} 个",
    begun: "开始方式：{{source}}",
    facts: {
      scheduled: "计划时间",
      begun: "开始时间",
      started: "开始发送",
      ended: "结束时间",
      source: "触发方式",
      total: "接收人数",
      delivered: "已送达(服务商回执)",
    },
    noRun: "正在创建 DAG 运行。",
    deliveries: "投递记录",
    noDeliveries: "此执行没有符合条件的投递。",
  },
});
