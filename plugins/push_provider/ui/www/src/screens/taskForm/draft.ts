// What is being written survives a reload: it is kept in the browser until it is saved or thrown away.

import type { Sources } from "./recipients/useRoll";
import { revived } from "./recipients/tables";
import type { Values } from "./values";

/** Its recipients: those that are kept, the same as before, or too many to be kept. */
export type Draft = { at: string; values: Values; sources: Sources | "unchanged" | "too many" };

/** Recipients that are kept; more would be slow to write at each pause, and browsers keep five million characters. */
const MOST_RECIPIENTS = 2_000;
const MOST_CHARACTERS = 1_000_000;
const VERSION = 1;

const keyOf = (user: string, form: string): string => `push.draft.${user}.${form}`;

/**
 * Keep a draft; of one that is too large, what fits.
 *
 * Returns whether all of it is kept.
 *
 * @param sources null: they are the same as before.
 */
export function keepDraft(user: string, form: string, values: Values, sources: Sources | null): boolean {
  const at = new Date().toISOString();
  const rows = sources?.tables.reduce((sum, table) => sum + table.rows.length, 0) ?? 0;
  const fewer: Draft = { at, values, sources: sources === null ? "unchanged" : "too many" };
  const whole: Draft = sources === null || rows > MOST_RECIPIENTS ? fewer : { ...fewer, sources };
  const paths = values.attachments.filter((file) => typeof file === "string");
  for (const draft of [whole, fewer, { ...fewer, values: { ...values, attachments: paths } }]) {
    const text = JSON.stringify({ version: VERSION, ...draft });
    if (text.length > MOST_CHARACTERS) continue;
    try {
      localStorage.setItem(keyOf(user, form), text);
      return draft.sources !== "too many" && draft.values === values;
    } catch {
      // Full, or this browser keeps nothing: less of it may do.
    }
  }
  return false;
}

export function draftOf(user: string, form: string): Draft | null {
  try {
    const draft = JSON.parse(localStorage.getItem(keyOf(user, form)) ?? "null") as (Draft & { version: number }) | null;
    if (draft === null || draft.version !== VERSION) return null;
    const { at, values, sources } = draft;
    if (typeof sources === "string") return { at, values, sources };
    return { at, values, sources: { ...sources, tables: sources.tables.map(revived) } };
  } catch {
    return null; // none, or none of ours
  }
}

export function forgetDraft(user: string, form: string): void {
  try {
    localStorage.removeItem(keyOf(user, form));
  } catch {
    // A browser that keeps nothing.
  }
}
