// The push task that the form's values say.

import type { Schemas } from "../../api/client";
import { read } from "../../api/exact";
import { formOf } from "./channels/forms";
import { schemaValue } from "./channels/schema";
import type { Document } from "./patch";
import type { Values } from "./values";

export type ChannelAnswer = Schemas["ChannelAnswer"];

/** What a field's text says; what is no number is left to the API, which names the field. */
export function numberOf(text: string): number | string | undefined {
  const trimmed = text.trim();
  return trimmed === "" ? undefined : Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}

/** A JSON text's value; undefined for none, and for one that the form has refused already. */
export function jsonOf(text: string): unknown {
  try {
    return text.trim() === "" ? undefined : read(text);
  } catch {
    return undefined;
  }
}

const textOf = (text: string): string | undefined => text.trim() || undefined;

export function scheduleOf({ kind, at, minute, time, cron, timezone }: Values["schedule"]): Document {
  const clock = kind === "now" || kind === "manual" ? undefined : textOf(timezone);
  const due = {
    now: {},
    manual: {},
    at: { at: textOf(at) },
    hourly: { minute: numberOf(minute) },
    daily: { time: textOf(time) },
    cron: { cron: textOf(cron) },
  }[kind];
  return given({ kind, ...due, timezone: clock });
}

export const executionOf = ({ type, max_executions }: Values["execution"]): Document =>
  given({ type, max_executions: type === "loop" ? numberOf(max_executions) : undefined });

/** The push task without its recipients, which are kept apart: they are many. */
export function documentOf(values: Values, channel: ChannelAnswer | undefined): Document {
  const { code, name, config, category, app, owner, missed, on_unknown } = values;
  return given({
    code: textOf(code),
    name: textOf(name),
    channel: values.channel,
    config: textOf(config),
    execution: executionOf(values.execution),
    schedule: scheduleOf(values.schedule),
    ...contentOf(values, channel),
    variables: jsonOf(values.variables),
    category: textOf(category),
    app: textOf(app),
    owner: textOf(owner),
    missed: textOf(missed),
    on_unknown: textOf(on_unknown),
    max_active_runs: numberOf(values.max_active_runs),
    retries: numberOf(values.retries),
    retry_delay: numberOf(values.retry_delay),
  });
}

/** The channel's own fields. */
function contentOf(values: Values, channel: ChannelAnswer | undefined): Document {
  const form = formOf(values.channel);
  const own = values.own[values.channel] ?? {};
  const others = (channel?.fields ?? []).filter(({ name }) => !form.handles.includes(name));
  const declared = others.map(({ name, schema }) => [name, schemaValue(schema, own[name] ?? "")] as const);
  return { ...Object.fromEntries(declared), ...form.write(values) };
}

function given(fields: Document): Document {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
