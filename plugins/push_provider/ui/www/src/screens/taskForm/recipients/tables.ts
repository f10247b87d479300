// Recipients as they came in: lists with a column of addresses, whose other columns are variables.

import type { Schemas } from "../../../api/client";
import { variableNames } from "../variables";
import { areTellable, bare, isAddress, isHead } from "./address";

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

/** A table of what was read, with a guess at its header and its addresses. */
export function tableOf(label: string, rows: Cell[][], channel: string): Table {
  const [first = []] = rows;
  const head = first.findIndex((cell) => isHead(text(cell)));
  let [address, header] = [Math.max(head, 0), first.length > 1 || head >= 0];
  if (areTellable(channel)) {
    const sample = rows.slice(0, 30);
    const hits = first.map((_, column) => sample.filter((row) => isAddress(channel, text(row[column]))).length);
    address = Math.max(hits.indexOf(Math.max(...hits)), 0);
    header = !first.some((cell) => isAddress(channel, text(cell)));
    // A lone wrong address is one, and no header.
    header &&= first.length > 1 || !/[@\d]/.test(text(first[0]));
  }
  return { id: ++last, label, header, address, rows, named: false };
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

/** A table that was kept as JSON, which has no undefined, under a number of its own. */
export const revived = (table: Table): Table => ({
  ...table,
  id: ++last,
  rows: table.named ? table.rows.map((row) => row.map((cell) => cell ?? undefined)) : table.rows,
});

export const width = (table: Table): number => table.rows[0]?.length ?? 0;

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
