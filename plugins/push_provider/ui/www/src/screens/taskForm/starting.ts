// What the form begins with: nothing, or a push task that exists.

import { formOf } from "./channels/forms";
import { schemaText } from "./channels/schema";
import type { ChannelAnswer } from "./document";
import { tableOfRecipients } from "./recipients/tables";
import type { Sources } from "./recipients/useRoll";
import { commonValues, emptyValues, type Spec, type Values } from "./values";

export type Starting = { values: Values; sources: Sources };

/** Addresses that are shown as lines to be changed; more are a list. */
const MOST_TYPED = 500;

export function nothing(channels: ChannelAnswer[]): Starting {
  const values = emptyValues(channels[0]?.name ?? "email");
  return { values: { ...values, own: blank(channels) }, sources: { typed: "", tables: [] } };
}

export function ofTask(spec: Spec, channels: ChannelAnswer[], label: string): Starting {
  const common = commonValues(spec);
  const form = formOf(spec.channel);
  const read = form.read(spec);
  const fields = channels.find(({ name }) => name === spec.channel)?.fields ?? [];
  const others = fields.filter(({ name }) => !form.handles.includes(name));
  const declared = Object.fromEntries(others.map(({ name, schema }) => [name, schemaText(schema, spec[name])]));
  const own = blank(channels);
  own[spec.channel] = { ...own[spec.channel], ...read.own?.[spec.channel], ...declared };
  const values = withUnixBreaks({ ...common, ...read, own });
  return { values, sources: sourcesOf(spec.recipients ?? [], label) };
}

/** Browsers write line breaks so in what is typed; other ones would pass for changes. */
function withUnixBreaks(values: Values): Values {
  const own = Object.entries(values.own).map(([channel, fields]) => {
    const texts = Object.entries(fields).map(([name, text]) => [name, text.replace(/\r\n?/g, "\n")]);
    return [channel, Object.fromEntries(texts)];
  });
  const parameters = values.parameters.map(({ name, value }) => ({ name, value: value.replace(/\r\n?/g, "\n") }));
  return { ...values, own: Object.fromEntries(own) as Values["own"], parameters };
}

/** The same for a new task: its code is its own. */
export const asCopy = ({ values, sources }: Starting, name: string): Starting => ({
  values: { ...values, code: "", name: name.slice(0, 200) },
  sources,
});

function sourcesOf(recipients: NonNullable<Spec["recipients"]>, label: string): Sources {
  const plain = recipients.every((one) => typeof one === "string" || Object.keys(one.variables ?? {}).length === 0);
  if (recipients.length === 0) return { typed: "", tables: [] };
  if (!plain || recipients.length > MOST_TYPED) return { typed: "", tables: [tableOfRecipients(label, recipients)] };
  return { typed: recipients.map((one) => (typeof one === "string" ? one : one.to)).join("\n"), tables: [] };
}

function blank(channels: ChannelAnswer[]): Values["own"] {
  const own = channels.map(({ name, fields }) => [name, Object.fromEntries(fields.map((field) => [field.name, ""]))]);
  const empty = Object.fromEntries(own) as Values["own"];
  if (empty.email) empty.email.content_type = "html";
  return empty;
}
