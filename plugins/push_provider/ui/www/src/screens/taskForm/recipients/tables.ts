// Recipients as they came in: lists with a column of addresses, whose other columns are variables.

import type { Schemas } from "../../../api/client";
import { variableNames } from "../variables";
import { areTellable, bare, headOf, isAddress, isPlainly } from "./address";

/** Undefined: this recipient has no such variable. */
export type Cell = unknown;
export type Table = {
  id: number;
  label: string;
  /** Whether the first row names the columns. */
  header: boolean;
  /** The column of the addresses. */
  address: number;
  rows: Cell[][];
  /** Whether the names of the columns are names of variables already. */
  named: boolean;
};
export type Recipient = Schemas["Recipient"] | string;

let last = 0;

/** Rows that the guess at the columns looks at. */
const SAMPLE = 30;

/** A table of what was read, with a guess at its header and its addresses. */
export function tableOf(label: string, rows: Cell[][], channel: string): Table {
  const columns = (rows[0] ?? []).map((cell, column) => {
    const head = headOf(channel, text(cell));
    const cells = rows.slice(head > 0 ? 1 : 0, SAMPLE).map((row) => text(row[column]));
    const filled = cells.filter((one) => one.trim() !== "");
    const fit = filled.filter((one) => isAddress(channel, one)).length;
    const plain = filled.filter((one) => isPlainly(channel, one)).length;
    return { column, head, ranks: [head === 2 && fit * 2 >= filled.length ? 1 : 0, plain, head, fit] };
  });
  // A user or a device may be called anything: there the names of the columns are all that can be told.
  const best = areTellable(channel)
    ? columns.sort((one, other) => compared(other.ranks, one.ranks))[0]
    : columns.sort((one, other) => other.head - one.head)[0];
  const header = isHeader(rows[0] ?? [], channel);
  return { id: ++last, label, header, address: best?.column ?? 0, rows, named: false };
}

/** Which of two lists of numbers is greater, by the first that differs. */
function compared(one: number[], other: number[]): number {
  const place = one.findIndex((value, index) => value !== other[index]);
  return place < 0 ? 0 : (one[place] ?? 0) - (other[place] ?? 0);
}

/** Whether the first row names the columns: one that is taken for that in error gets nothing, and nobody hears of it. */
function isHeader(first: Cell[], channel: string): boolean {
  const cells = first.map(text);
  const head = Math.max(...cells.map((cell) => headOf(channel, cell)));
  if (!areTellable(channel)) return head > 0;
  // What was meant for an address is a wrong one, and no name of a column.
  if (cells.some((cell) => cell.includes("@") || isAddress(channel, cell))) return false;
  if (head === 2) return true;
  if (cells.some((cell) => /\d{7}/.test(cell.replace(/[\s().\-]/g, "")))) return false;
  return cells.length > 1 || !/\d/.test(cells[0] ?? "");
}

/** A table of a task's own recipients. */
export function tableOfRecipients(label: string, recipients: readonly Recipient[]): Table {
  const names = new Set<string>();
  for (const one of recipients) if (typeof one !== "string") for (const name in one.variables) names.add(name);
  const columns = [...names];
  const rows = recipients.map((one) => {
    if (typeof one === "string") return [one];
    return [one.to, ...columns.map((name) => one.variables?.[name])];
  });
  return { id: ++last, label, header: true, address: 0, rows: [["to", ...columns], ...rows], named: true };
}

/** A table as JSON can hold it: a row with holes as an object, for JSON has no undefined and null is a value. */
export const keepable = (table: Table) =>
  table.named ? { ...table, rows: table.rows.map((row) => ({ ...row })) } : table;

/** A table that was kept so, under a number of its own. */
export const revived = (table: ReturnType<typeof keepable>): Table => ({
  ...table,
  id: ++last,
  rows: table.rows.map((row) => Object.assign([], row) as Cell[]),
});

export const width = (table: Table): number => table.rows[0]?.length ?? 0;

/** Whether a row holds more than the first one: as where a comma parts what should be one cell, and shifts what follows. */
export const isTooLong = (table: Table, row: Cell[]): boolean =>
  row.slice(width(table)).some((cell) => text(cell).trim() !== "");

/** What people call the columns. */
export function heads(table: Table): string[] {
  const first = table.rows[0] ?? [];
  return first.map((cell, index) => (table.header && text(cell)) || String(index + 1));
}

/** The variables that the columns become; the address' own is none. */
export function variablesOf(table: Table): string[] {
  const first = (table.rows[0] ?? []).map((cell) => (table.header ? text(cell) : ""));
  return table.named ? first : variableNames(first);
}

const numbers = new WeakMap<Cell[], number>();

/** A number of a row's own, which it keeps. */
export function keyOfRow(row: Cell[]): number {
  if (!numbers.has(row)) numbers.set(row, ++last);
  return numbers.get(row) as number;
}

export function text(cell: Cell): string {
  return cell === undefined || cell === null ? "" : typeof cell === "string" ? cell : JSON.stringify(cell);
}

/** The recipient of a row. */
export function recipientOf(row: Cell[], address: number, names: string[]) {
  const variables: Record<string, unknown> = {};
  names.forEach((name, column) => {
    if (column !== address && row[column] !== undefined) variables[name] = row[column];
  });
  return { to: bare(text(row[address])), variables };
}
