// Where the API's word on a field stands in the form.

import type { FieldPath, UseFormReturn } from "react-hook-form";
import { Problem } from "../../api/client";
import { wordsOf } from "../../components/messages";
import { i18n } from "../../i18n";
import { formOf } from "./channels/forms";
import { keyOf, type Line, type Roll } from "./recipients/useRoll";
import type { Values } from "./values";

const COMMON = new Set(
  "code name channel config category missed max_active_runs variables on_unknown app owner retries retry_delay".split(" "),
);
const PARTS = new Set(
  ["execution.type", "execution.max_executions"].concat(
    ["kind", "at", "minute", "time", "cron", "timezone"].map((name) => `schedule.${name}`),
  ),
);

/** The field of the form for a path such as `schedule.cron`; undefined: it has none. */
function placeOf(path: string, channel: string, declared: ReadonlySet<string>): FieldPath<Values> | undefined {
  const name = path.split(/[.[]/, 1)[0] ?? "";
  if (PARTS.has(path)) return path as FieldPath<Values>;
  if (name === "schedule") return "schedule.kind";
  if (name === "execution") return "execution.type";
  if (COMMON.has(name)) return name as FieldPath<Values>;
  return declared.has(name) ? formOf(channel).place(name) : undefined;
}

type Placing = {
  form: UseFormReturn<Values>;
  roll: Roll;
  sent: Line[];
  declared: ReadonlySet<string>;
  /** What the API was asked to take. */
  body: unknown;
};

/** Bytes of a body from which on it may be that a server which says nothing has it for too large. */
const LARGE = 1024 * 1024;

/** Put what the API said beside the fields it means, and the rest above the form. */
export function place(error: unknown, { form, roll, sent, declared, body }: Placing): void {
  const rest: string[] = [];
  const refused = new Map(roll.refused);
  const lists: string[] = [];
  for (const { field, message } of error instanceof Problem ? error.errors : []) {
    const index = /^recipients\[(\d+)\]/.exec(field)?.[1];
    const line = index === undefined ? undefined : sent[Number(index)];
    const name = placeOf(field, form.getValues("channel"), declared);
    if (line !== undefined) refused.set(keyOf(line), message);
    else if (field.startsWith("recipients")) lists.push(message);
    else if (name !== undefined) form.setError(name, { type: "server", message });
    else rest.push(`${field}: ${message}`);
  }
  const more = refused.size - roll.refused.size;
  if (more > 0) {
    roll.setRefused(refused);
    lists.push(i18n.t("taskForm.recipients.someWrong", { total: more }));
  }
  if (lists.length > 0) roll.complain(lists.join("\n"));
  if (!(error instanceof Problem) || error.errors.length === 0) rest.push(wordsOf(error));
  else {
    const unnamed = /and (\d+) more$/.exec(error.message)?.[1]; // only the first ones are named
    if (unnamed !== undefined) rest.push(i18n.t("taskForm.moreFaults", { total: unnamed }));
  }
  rest.push(...ofSize(error, body));
  if (rest.length > 0) form.setError("root.server", { type: "server", message: rest.join("\n") });
}

/** How large it was, where that may be what is wrong: of a body that is still on its way no answer may come back. */
function ofSize(error: unknown, body: unknown): string[] {
  if (!(error instanceof Problem) || (error.status !== 413 && error.status !== 0)) return [];
  const size = new Blob([JSON.stringify(body)]).size;
  if (error.status === 0 && size < LARGE) return [];
  const said = new Intl.NumberFormat(i18n.language, { maximumFractionDigits: 1 }).format(size / LARGE);
  return [i18n.t(`taskForm.${error.status === 413 ? "tooLarge" : "maybeTooLarge"}`, { size: said })];
}
