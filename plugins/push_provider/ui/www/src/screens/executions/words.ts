import { addWords } from "../../i18n";

addWords("executions", {
  en: {
    label: "Executions",
    id: "Execution",
    number: "No.",
    course: "Sent",
    begun: "Begun",
    finished: "Ended",
    by: "By",
    why: "Why",
    source: "Source",
    empty: "No execution matches. One begins by a task's schedule, by its button Trigger, by REST or by Kafka.",
  },
  "zh-CN": {
    label: "执行记录",
    id: "执行",
    number: "次数",
    course: "已发送",
    begun: "开始时间",
    finished: "结束时间",
    by: "触发人",
    why: "原因",
    source: "来源",
    empty: "没有符合条件的执行。定时、“触发”按钮、REST 或 Kafka 都会开始一次执行。",
  },
});
