// What a field's JSON schema says of the form that it needs.

import { read } from "../../../api/exact";
import { asText } from "../values";

export type Schema = Record<string, unknown>;
export type Shape =
  | { kind: "text"; long: boolean; max: number | undefined }
  | { kind: "choice"; options: string[] }
  | { kind: "flag" }
  | { kind: "number"; whole: boolean; min: number | undefined; max: number | undefined }
  | { kind: "json" };

/** Texts that may be longer than this are written in several lines. */
const LONG = 1_000;

const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

/** The schema of what a field holds if it holds anything. */
function essence(schema: Schema): Schema {
  const variants = schema.anyOf ?? schema.oneOf;
  if (!Array.isArray(variants)) {
    const { type } = schema;
    if (!Array.isArray(type)) return schema;
    const types = type.filter((one) => one !== "null");
    return { ...schema, type: types.length === 1 ? types[0] : types };
  }
  const real = (variants as Schema[]).filter(({ type }) => type !== "null");
  return real.length === 1 ? { ...schema, anyOf: undefined, oneOf: undefined, ...real[0] } : {};
}

export function shapeOf(schema: Schema): Shape {
  const one = essence(schema);
  if (Array.isArray(one.enum)) {
    const options = one.enum.filter((value) => value !== null);
    return options.every((value) => typeof value === "string") ? { kind: "choice", options } : { kind: "json" };
  }
  switch (one.type) {
    case "string": {
      const max = number(one.maxLength);
      return { kind: "text", long: max !== undefined && max > LONG, max };
    }
    case "boolean":
      return { kind: "flag" };
    case "integer":
    case "number":
      return { kind: "number", whole: one.type === "integer", min: number(one.minimum), max: number(one.maximum) };
    default:
      return { kind: "json" };
  }
}

/** The value that a field's text says; undefined: it is left out. */
export function schemaValue(schema: Schema, text: string): unknown {
  if (text.trim() === "") return undefined;
  const shape = shapeOf(schema);
  switch (shape.kind) {
    case "flag":
      return text === "true";
    case "number":
      return Number.isFinite(Number(text)) ? Number(text) : text;
    case "json":
      try {
        return read(text);
      } catch {
        return undefined; // which the form has refused already
      }
    default:
      return text;
  }
}

/** The text that a field shows of a value. */
export const schemaText = (schema: Schema, value: unknown): string =>
  value === null || value === undefined
    ? ""
    : shapeOf(schema).kind === "json"
      ? JSON.stringify(value, null, 2)
      : asText(value);
