// What is being written survives a reload: it is kept in the browser until it is saved or thrown away.

import { read } from "../../api/exact";
import { isObject } from "./patch";
import { keepable, revived, text } from "./recipients/tables";
import type { Sources } from "./recipients/useRoll";
import type { Attachment, Values } from "./values";

/** A file whose content is not in the draft: the push task has it, or it was too large to be kept. */
type Elsewhere = { name: string; stored: boolean };
/** What the form holds, as it is kept. */
type Kept = Omit<Values, "attachments"> & { attachments: (Attachment | Elsewhere)[] };

/** Its recipients: those that are kept, the same as before, or too many to be kept. */
export type Draft = {
  at: string;
  values: Kept;
  /** What the form began with; drafts of earlier editions do not say. */
  base?: Kept;
  sources: Sources | "unchanged" | "too many";
  /** Tells the recipients that the form began with from others; there where the draft has its own. */
  before?: string;
};

/** What is not in a draft: all of it, where it is too large at its smallest or the browser keeps nothing; or parts. */
export type LeftOut = { all: boolean; recipients: boolean; files: number };
export const NOTHING_LEFT_OUT: LeftOut = { all: false, recipients: false, files: 0 };

/** Recipients that are kept; more would be slow to write at each pause, and browsers keep five million characters. */
const MOST_RECIPIENTS = 2_000;
const MOST_CHARACTERS = 1_000_000;
const VERSION = 1;

const keyOf = (user: string, form: string): string => `push.draft.${user}.${form}`;

/** What the form began with; of recipients that a draft brought along, what tells those that it began with itself. */
export type Beginning = { values: Values; sources: Sources; before?: string | undefined };

/**
 * Keep a draft; of one that is too large, what fits.
 *
 * Returns what is left out.
 *
 * @param base what the form began with.
 * @param sources null: they are the same as before.
 */
export function keepDraft(user: string, form: string, values: Values, base: Beginning, sources: Sources | null): LeftOut {
  const rows = sources?.tables.reduce((sum, table) => sum + table.rows.length, 0) ?? 0;
  const beginning = { at: new Date().toISOString(), base: withoutFiles(base.values, base.values, true) };
  const before = sources === null ? {} : { before: base.before ?? markOf(base.sources) };
  const files = (large: boolean) => ({ ...beginning, values: withoutFiles(values, base.values, large) });
  const fewer = { ...before, sources: sources === null ? "unchanged" : "too many" };
  const whole = sources === null || rows > MOST_RECIPIENTS ? fewer : { ...before, sources: kept(sources) };
  // Recipients are more to write anew than a file is to attach again.
  for (const people of whole === fewer ? [fewer] : [whole, fewer]) {
    for (const draft of [files(false), files(true)]) {
      const written = JSON.stringify({ version: VERSION, ...draft, ...people });
      if (written.length > MOST_CHARACTERS) continue;
      try {
        localStorage.setItem(keyOf(user, form), written);
        return { all: false, recipients: people.sources === "too many", files: lostFiles(draft) };
      } catch {
        // Full, or this browser keeps nothing: less of it may do.
      }
    }
  }
  return { ...NOTHING_LEFT_OUT, all: true };
}

/** Values without the files that the push task has, and maybe without all others. */
function withoutFiles(values: Values, base: Values, others: boolean): Kept {
  const stored = base.attachments.filter((file) => typeof file !== "string");
  const attachments = values.attachments.map((file) => {
    if (typeof file === "string") return file;
    const { name, content_base64 } = file;
    const known = stored.some((other) => other.name === name && other.content_base64 === content_base64);
    return known || others ? { name, stored: known } : file;
  });
  return { ...values, attachments };
}

const kept = ({ typed, tables }: Sources) => ({ typed, tables: tables.map(keepable) });

/** How many files were too large for a draft. */
export const lostFiles = ({ values }: Pick<Draft, "values">): number =>
  values.attachments.filter((file) => typeof file !== "string" && "stored" in file && !file.stored).length;

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
  const now = withoutFiles(today, today, true);
  const shown = (base === undefined ? { ...now, ...values } : changed(base, values, now)) as Kept;
  const stored = today.attachments.filter((file) => typeof file !== "string");
  const attachments = shown.attachments.flatMap((file): Attachment[] => {
    if (typeof file === "string" || !("stored" in file)) return [file];
    const found = file.stored ? stored.find(({ name }) => name === file.name) : undefined;
    return found === undefined ? [] : [found];
  });
  return { ...shown, attachments };
}

function changed(base: unknown, mine: unknown, today: unknown): unknown {
  if (JSON.stringify(mine) === JSON.stringify(base)) return today;
  if (!isObject(base) || !isObject(mine) || !isObject(today)) return mine;
  const names = Object.keys({ ...today, ...mine });
  return Object.fromEntries(names.map((name) => [name, name in mine ? changed(base[name], mine[name], today[name]) : today[name]]));
}

/** Whether a draft's own recipients take the place of others than those that it began with. */
export const isOvertaken = ({ sources, before }: Draft, today: Sources): boolean =>
  typeof sources === "object" && before !== undefined && before !== markOf(today);

const marks = new WeakMap<Sources, string>();

/** Recipients in a few characters: how many these have, and a hash of them (FNV-1a of 32 bits, draft-eastlake-fnv). */
function markOf(sources: Sources): string {
  const known = marks.get(sources);
  if (known !== undefined) return known;
  let [length, hash] = [0, 0x811c9dc5];
  const take = (part: string) => {
    length += part.length;
    for (let index = 0; index < part.length; index++) hash = Math.imul(hash ^ part.charCodeAt(index), 0x01000193);
  };
  take(sources.typed);
  for (const { rows } of sources.tables) for (const row of rows) take(`\n${row.map(text).join("\t")}`);
  const mark = `${length} ${(hash >>> 0).toString(16)}`;
  marks.set(sources, mark);
  return mark;
}

export function forgetDraft(user: string, form: string): void {
  try {
    localStorage.removeItem(keyOf(user, form));
  } catch {
    // A browser that keeps nothing.
  }
}
