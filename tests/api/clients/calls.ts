// The calls of the docs, and some more, with a client that openapi-typescript has made; prints what was asked and seen.
import createClient, { type Middleware } from "openapi-fetch";

import type { components, paths } from "./schema.ts";

declare const process: { argv: string[] };

type Task = components["schemas"]["PushTask"];

const [url = "", token = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
const requests: unknown[] = [];
const recorder: Middleware = {
  async onRequest({ request }) {
    const { pathname, search } = new URL(request.url);
    const body = await request.clone().text();
    const key = request.headers.get("Idempotency-Key");
    requests.push([request.method, pathname + search, key, body ? JSON.parse(body) : null]);
  },
};

function must<T>(answer: { data?: T; error?: components["schemas"]["ProblemDetails"] }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

async function trigger() {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const answer = await client.POST("/v1/tasks/{code}/trigger", {
      params: { path: { code: "price-alarm" }, header: { "Idempotency-Key": "tea-12" } },
      body: { recipients: ["hanmeimei@example.com"], variables: { article: "Tea", price: 12 } },
    });
    // The DAG of a new task takes a moment; the same key begins nothing twice.
    if (answer.response.status !== 503 || Date.now() > deadline) return must(answer);
  }
}

const task: Task = {
  code: "price-alarm",
  name: "Price alarm",
  channel: "email",
  schedule: { kind: "manual" },
  execution: { type: "loop" },
  subject: "{{ article }} is cheaper",
  content: "{{ article }} costs {{ price }} now.",
  recipients: ["buyer@example.com"],
};

client.use(recorder);
const created = await client.POST("/v1/tasks", {
  params: { header: { "Idempotency-Key": "price-alarm" } },
  body: task,
});
const begun = await trigger();
const executions = must(await client.GET("/v1/executions", { params: { query: { task: "price-alarm" } } }));
const deliveries = must(await client.GET("/v1/deliveries", { params: { query: { task: "price-alarm" } } }));
if (typeof deliveries === "string") throw new Error("CSV, which nobody asked for");
client.eject(recorder);

const code = { path: { code: "price-alarm" } };
const patched = must(
  await client.PATCH("/v1/tasks/{code}", {
    params: code,
    body: { subject: "Cheaper", schedule: { kind: "hourly", minute: 45 }, execution: { max_executions: 24 } },
  }),
);
const schedule = patched.task.schedule;
const variables = { article: "Tea", price: 9 };
const byCode = must(await client.POST("/v1/preview", { body: { code: "price-alarm", variables } }));
const byTask = must(await client.POST("/v1/preview", { body: { task: { ...task, subject: "New" }, variables } }));
const dry = must(
  await client.POST("/v1/tasks", {
    params: { query: { dry_run: true } },
    body: { name: "Dry", channel: "sms", recipients: ["13800138000"], content: '{"name": "Wei"}' },
  }),
);
const bulk = must(await client.POST("/v1/tasks/bulk", { body: { tasks: [{ ...task, channel: "sms" }] } }));
const csv = must(
  await client.GET("/v1/deliveries", {
    params: { query: { task: "price-alarm" } },
    headers: { Accept: "text/csv" },
    parseAs: "text",
  }),
);
const refused = await client.POST("/v1/tasks", { body: { name: "Wrong", channel: "email", recipients: ["nobody"] } });
const me = must(await client.GET("/v1/me"));
const channels = must(await client.GET("/v1/channels"));
const next = must(
  await client.POST("/v1/next-executions", {
    body: { schedule: { kind: "hourly", minute: 45 }, execution: { type: "loop" }, count: 2 },
  }),
);
const rejected = must(await client.GET("/v1/rejected", { params: { query: { task: "price-alarm" } } }));
const help = must(
  await client.GET("/v1/help/{page}", { params: { path: { page: "sms" }, query: { language: "zh-CN" } } }),
);
must(await client.POST("/v1/tasks/{code}/cancel", { params: code }));
const deleted = await client.DELETE("/v1/tasks/{code}", { params: { ...code, query: { purge: true } } });

console.log(
  JSON.stringify({
    requests,
    seen: {
      created: created.response.status,
      code: must(created as { data?: components["schemas"]["TaskAnswer"] }).code,
      number: begun.number,
      executions: executions.items.map((one) => [one.id === begun.execution, one.source, one.total]),
      deliveries: deliveries.items.map((one) => [one.recipient, one.state]),
      patched: [patched.subject, schedule?.kind === "hourly" ? schedule.minute : null, patched.max_executions],
      previews: [byCode.subject, byTask.subject, byTask.html],
      dry: "preview" in dry ? dry.preview?.parameters : null,
      bulk: bulk.items.map((one) => [one.status, one.problem?.errors.map((error) => error.field)]),
      csv: typeof csv === "string" ? csv.split("\r\n")[1]?.split(",")[3] : null,
      refused: [refused.error?.status, refused.error?.errors.map((error) => error.field)],
      may: me.rights.includes("edit"),
      channels: channels.items.map((one) => [one.name, one.fields[0]?.name, one.connection_types[0]?.fields[0]?.secret]),
      next: [next.items.length, next.ends],
      rejected: rejected.items.length,
      help: help.title,
      deleted: deleted.response.status,
    },
  }),
);
