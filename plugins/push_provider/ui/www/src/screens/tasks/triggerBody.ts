// What the trigger's form says, as the API takes it; and where the API's refusals belong in the form.

import { read } from "../../api/exact";

export type TriggerForm = { recipients: string; variables: { name: string; kind: "text" | "json"; value: string }[] };
export type Place = "recipients" | `variables.${number}.name` | `variables.${number}.value`;
type Fault = { place: Place; fault: "none" | "nameMissing" | "nameTwice" | "notJson" };
type Body = { recipients?: string[]; variables?: Record<string, unknown> };

/** Lines with something in them, and their numbers as people count. */
export const linesOf = (text: string): { line: number; text: string }[] =>
  text
    .split("\n")
    .map((one, index) => ({ line: index + 1, text: one.trim() }))
    .filter(({ text: one }) => one !== "");

/** The body of the call, and what keeps it from being sent. */
export function bodyOf({ recipients, variables }: TriggerForm, hasOwn: boolean): { body: Body; faults: Fault[] } {
  const lines = linesOf(recipients);
  const faults: Fault[] = lines.length === 0 && !hasOwn ? [{ place: "recipients", fault: "none" }] : [];
  const values = new Map<string, unknown>();
  variables.forEach(({ name: written, kind, value }, index) => {
    const name = written.trim();
    if (name === "" && value === "") return; // a row that was added and left
    if (name === "") faults.push({ place: `variables.${index}.name`, fault: "nameMissing" });
    else if (values.has(name)) faults.push({ place: `variables.${index}.name`, fault: "nameTwice" });
    try {
      values.set(name, kind === "json" ? read(value) : value);
    } catch {
      faults.push({ place: `variables.${index}.value`, fault: "notJson" });
    }
  });
  const body = {
    ...(lines.length > 0 ? { recipients: lines.map(({ text }) => text) } : {}),
    ...(values.size > 0 ? { variables: Object.fromEntries(values) } : {}),
  };
  return { body, faults };
}

/** Where a refused field of the API (`recipients[3].to`, `variables.name`) stands in the form. */
export function placeOf(
  field: string,
  { recipients, variables }: TriggerForm,
): { name: Place; line?: number | undefined } | undefined {
  if (field.startsWith("recipients")) {
    const index = /^recipients\[(\d+)\]/.exec(field)?.[1];
    return { name: "recipients", line: index === undefined ? undefined : linesOf(recipients)[Number(index)]?.line };
  }
  const index = variables.findIndex(({ name }) => {
    const path = `variables.${name.trim().slice(0, 60)}`;
    return field === path || field.startsWith(`${path}.`) || field.startsWith(`${path}[`);
  });
  return index < 0 ? undefined : { name: `variables.${index}.value` };
}
