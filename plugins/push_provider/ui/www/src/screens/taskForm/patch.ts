// What of a push task is another than before, as a JSON Merge Patch (RFC 7396).

import { isExact } from "../../api/exact";

export type Document = Record<string, unknown>;

/** A patch that makes the one of the other; see lostNulls for what none can make. */
export function patchOf(before: Document, after: Document): Document {
  const patch: Document = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, now] = [before[name], after[name]];
    if (JSON.stringify(old) === JSON.stringify(now)) continue;
    // Objects are merged, so what the new one has not must be taken away by name.
    patch[name] = now === undefined ? null : isObject(old) && isObject(now) ? patchOf(old, now) : now;
  }
  return patch;
}

/** Fields in whose new value something becomes null: to a patch, null says that it is taken away. */
export const lostNulls = (before: Document, after: Document): string[] =>
  Object.keys(after).filter((name) => isObject(after[name]) && losesNull(before[name], after[name]));

function losesNull(old: unknown, now: unknown): boolean {
  if (!isObject(now)) return now === null && old !== null;
  return Object.entries(now).some(([name, value]) => losesNull(isObject(old) ? old[name] : undefined, value));
}

export const isObject = (value: unknown): value is Document =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isExact(value);
