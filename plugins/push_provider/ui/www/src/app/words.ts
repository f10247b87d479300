import { addWords } from "../i18n";

addWords("tab", {
  en: {
    noPush: "This DAG is no push task.",
    noPushWhy: "The DAGs of push tasks are named push__… and are made on the Push page, by REST, by file or by Kafka.",
    executions_one: "{{count}} execution so far",
    executions_other: "{{count}} executions so far",
    executionsOf: "{{count}} of at most {{most}} executions",
    next: "Next execution:",
    open: "Open the push task",
    none: "It has not been executed yet.",
    all: "All executions",
    noExecution: "This run has no execution of its own: it was refused, or its push task was deleted.",
  },
  "zh-CN": {
    noPush: "此 DAG 不是推送任务。",
    noPushWhy: "推送任务的 DAG 以 push__ 开头，可在推送页面、通过 REST、文件或 Kafka 创建。",
    executions: "已执行 {{count}} 次",
    executionsOf: "已执行 {{count}} 次，最多 {{most}} 次",
    next: "下次执行：",
    open: "打开推送任务",
    none: "尚未执行。",
    all: "全部执行记录",
    noExecution: "此运行没有对应的执行：可能已被拒绝，或其推送任务已被删除。",
  },
});
