// Between a form's texts and an Airflow connection: what a field holds, what of it is changed, which port is stored.

import type { AirflowConnection } from "../../api/queries";
import type { Config, EmailService, Schemas } from "../../api/client";
import { read, rough } from "../../api/exact";

export type ConnectionType = Schemas["ConnectionTypeAnswer"];
export type Field = Schemas["ConnectionFieldAnswer"];
export type Value = string | number | boolean | null;
export type Extra = Record<string, unknown>;
/** A form's texts: those of the connection itself, and those of its extra. */
export type Values = { connection_id: string; standard: Record<string, string>; extra: Record<string, string> };
/** What is written of a connection. What is left out stays as it is; undefined takes a key out of the extra. */
export type Change = { standard: Partial<AirflowConnection>; extra: Record<string, Value | undefined> };

export const PUSH_EMAIL = "push_email";
/** As Airflow's API takes it. */
export const ID_PATTERN = /^[\w.-]{1,200}$/;

type Schema = { type?: string | string[]; enum?: unknown[]; default?: unknown; minimum?: number; maximum?: number };

export const schemaOf = (field: Field): Schema => field.schema as Schema;

export function kindOf(field: Field): string {
  const { type } = schemaOf(field);
  return [type ?? "string"].flat().find((kind) => kind !== "null") ?? "string";
}

/** The fields that a form shows. `is_default` is left out: it is a switch of the list, and no mere mark. */
export const shownFields = (type: ConnectionType): Field[] =>
  type.fields.filter(({ name, extra }) => (extra ? name !== "is_default" : !type.hidden.includes(name)));

/** What the extra of a connection says, as Airflow's API shows it. */
export function extraOf(connection: AirflowConnection, config: Config | undefined): Extra {
  // Numbers stay as they are: what the form does not know, such as an account's number of 20 digits, is written back.
  const shown = read(connection.extra || "{}") as Extra;
  // Airflow also masks what a password happens to be a part of; what is no secret, our API has in clear.
  return { ...shown, ...config?.settings };
}

const asText = (value: unknown): string => (value === null || value === undefined ? "" : String(rough(value)));

/** What a form begins with. Secrets begin empty, whatever is stored. */
export function valuesOf(type: ConnectionType, connection?: AirflowConnection, config?: Config): Values {
  const values: Values = { connection_id: connection?.connection_id ?? "", standard: {}, extra: {} };
  const extra = connection ? extraOf(connection, config) : undefined;
  for (const field of shownFields(type)) {
    const stored = field.extra ? extra?.[field.name] : connection?.[field.name as keyof AirflowConnection];
    const value = field.secret ? "" : connection ? asText(stored) : asText(schemaOf(field).default);
    values[field.extra ? "extra" : "standard"][field.name] = value;
  }
  // A switch that nobody touched is on.
  if (connection && values.extra["enabled"] === "") values.extra["enabled"] = "true";
  return values;
}

function valueOf(field: Field, text: string): Value {
  const kind = kindOf(field);
  if (kind === "boolean") return text === "true";
  return kind === "integer" || kind === "number" ? Number(text) : text;
}

/** What differs between what a form began with and what it holds now. An empty secret is one that is kept. */
export function changeOf(type: ConnectionType, before: Values | null, after: Values): Change {
  const change: Change = { standard: {}, extra: {} };
  for (const field of shownFields(type)) {
    const part = field.extra ? "extra" : "standard";
    const text = field.secret ? (after[part][field.name] ?? "") : (after[part][field.name] ?? "").trim();
    if (text === (before?.[part][field.name] ?? "")) continue;
    if (field.extra) change.extra[field.name] = text === "" ? undefined : valueOf(field, text);
    else Object.assign(change.standard, { [field.name]: text === "" ? null : valueOf(field, text) });
  }
  return change;
}

/** The port that is stored if none is entered, as Airflow's test of a connection needs one. */
export function portFor(type: ConnectionType, values: Values, service: EmailService | undefined): number | undefined {
  if (type.name !== PUSH_EMAIL) return Number(type.placeholders["port"]) || undefined;
  const secure = values.extra["secure"] ?? "";
  // A service's port holds only together with its own kind of TLS.
  const own = service !== undefined && (secure === "" || (secure === "true") === isSecure(service));
  if (own && service.port !== null) return service.port;
  return secure === "false" ? 587 : 465;
}

/** Whether a service speaks TLS from the start: one that does not say so does on port 465. */
export const isSecure = (service: EmailService): boolean => service.secure ?? service.port === 465;

/** The service that a name, alias or domain means; case and spaces make no difference. */
export function serviceNamed(services: EmailService[], text: string | undefined): EmailService | undefined {
  const key = (name: string) => name.replaceAll(/\s/g, "").toLowerCase();
  const wanted = key(text ?? "");
  return services.find(({ name, aliases, domains }) => [name, ...aliases, ...domains].some((one) => key(one) === wanted));
}
