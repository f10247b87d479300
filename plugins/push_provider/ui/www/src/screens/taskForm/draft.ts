// What is being written survives a reload: it is kept in the browser until it is saved or thrown away.

import { read } from "../../api/exact";
import { isObject } from "./patch";
import type { Sources } from "./recipients/useRoll";
import { revived } from "./recipients/tables";
import type { Values } from "./values";

/** Its recipients: those that are kept, the same as before, or too many to be kept. */
export type Draft = {
  at: string;
  values: Values;
  /** What the form began with; drafts of earlier editions do not say. */
  base?: Values;
  sources: Sources | "unchanged" | "too many";
};

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
 * @param base what the form began with.
 * @param sources null: they are the same as before.
 */
export function keepDraft(user: string, form: string, values: Values, base: Values, sources: Sources | null): boolean {
  const at = new Date().toISOString();
  const rows = sources?.tables.reduce((sum, table) => sum + table.rows.length, 0) ?? 0;
  const fewer: Draft = { at, values, base, sources: sources === null ? "unchanged" : "too many" };
  const whole: Draft = sources === null || rows > MOST_RECIPIENTS ? fewer : { ...fewer, sources };
  const unladen = (some: Values): Values => ({ ...some, attachments: some.attachments.filter((file) => typeof file === "string") });
  for (const draft of [whole, fewer, { ...fewer, values: unladen(values), base: unladen(base) }]) {
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
    const draft = read(localStorage.getItem(keyOf(user, form)) ?? "null") as (Draft & { version: number }) | null;
    if (draft === null || draft.version !== VERSION) return null;
    const { version: _version, sources, ...rest } = draft;
    if (typeof sources === "string") return { ...rest, sources };
    return { ...rest, sources: { ...sources, tables: sources.tables.map(revived) } };
  } catch {
    return null; // none, or none of ours
  }
}

/** What a form shows of a draft: what was changed in it, and all else as it is stored by now. */
export function resumed(today: Values, { base, values }: Draft): Values {
  return (base === undefined ? { ...today, ...values } : changed(base, values, today)) as Values;
}

function changed(base: unknown, mine: unknown, today: unknown): unknown {
  if (JSON.stringify(mine) === JSON.stringify(base)) return today;
  if (!isObject(base) || !isObject(mine) || !isObject(today)) return mine;
  const names = Object.keys({ ...today, ...mine });
  return Object.fromEntries(names.map((name) => [name, name in mine ? changed(base[name], mine[name], today[name]) : today[name]]));
}

export function forgetDraft(user: string, form: string): void {
  try {
    localStorage.removeItem(keyOf(user, form));
  } catch {
    // A browser that keeps nothing.
  }
}
