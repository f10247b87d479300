// All recipients of the form: those typed, and those of tables. Kept apart from the other fields, for they may be a
// hundred thousand, which a form library would copy at each key. They are looked at in portions.

import { useCallback, useEffect, useRef, useState } from "react";
import { addressesOf, isAddress } from "./address";
import { isTooLong, recipientOf, variablesOf, type Cell, type Recipient, type Table } from "./tables";

/** What is wrong with a recipient: one of our faults, or the API's words. */
export type Fault = { ours: "noAddress" | "tooLong" } | { said: string };
export type Line = {
  to: string;
  variables: Record<string, unknown>;
  fault?: Fault;
  /** Its table, and its row there, which stays the same one whatever becomes of others; undefined: it was typed. */
  table?: number;
  row?: Cell[];
};
export type Checked = {
  lines: Line[];
  wrong: Line[];
  /** How many say the same as another one, and get one message. */
  twice: number;
};
export type Sources = { typed: string; tables: Table[] };
/** A list that is being read: its recipients are not there yet. */
export type Reading = { name: string; rows: number };

/** What is one recipient: an address with its variables. */
export const keyOf = ({ to, variables }: Line): string =>
  Object.keys(variables).length > 0 ? `${to}\n${JSON.stringify(variables)}` : to;

/** What the API said of recipients, by their keys. */
const NOTHING_REFUSED: ReadonlyMap<string, string> = new Map();
const NOBODY: Checked = { lines: [], wrong: [], twice: 0 };
/** Lines that are looked at at a stretch. */
const PORTION = 5_000;

function faultOf(channel: string, to: string, said: string | undefined): Fault | undefined {
  if (said !== undefined) return { said };
  return isAddress(channel, to) ? undefined : { ours: "noAddress" };
}

/** Let the browser do what else it has to do. */
async function breath(signal?: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  signal?.throwIfAborted();
}

async function check(
  { typed, tables }: Sources,
  channel: string,
  refused: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Checked> {
  const found: Checked = { lines: [], wrong: [], twice: 0 };
  const seen = new Set<string>();
  const take = (line: Line) => {
    const key = keyOf(line);
    const fault = line.fault ?? faultOf(channel, line.to, refused.get(key));
    if (fault !== undefined) found.wrong.push({ ...line, fault });
    found.lines.push(fault === undefined ? line : (found.wrong.at(-1) as Line));
    if (seen.has(key)) found.twice++;
    else seen.add(key);
  };
  let looked = 0;
  for (const line of typed.split("\n")) {
    for (const to of addressesOf(channel, line)) take({ to, variables: {} });
    if (++looked % PORTION === 0) await breath(signal);
  }
  for (const table of tables) {
    const names = variablesOf(table);
    for (let row = table.header ? 1 : 0; row < table.rows.length; row++) {
      const cells = table.rows[row] ?? [];
      const fault: Fault | undefined = isTooLong(table, cells) ? { ours: "tooLong" } : undefined;
      take({ ...recipientOf(cells, table.address, names), table: table.id, row: cells, fault });
      if (++looked % PORTION === 0) await breath(signal);
    }
  }
  signal.throwIfAborted();
  return found;
}

export type Roll = ReturnType<typeof useRoll>;

/**
 * @param changed whether they are others than the push task has already.
 */
export function useRoll(channel: string, initial: Sources, changed: boolean) {
  const [sources, setSources] = useState(initial);
  const [leaveOut, setLeaveOut] = useState(false);
  const [refused, setRefused] = useState<ReadonlyMap<string, string>>(NOTHING_REFUSED);
  const [checked, setChecked] = useState(NOBODY);
  const [busy, setBusy] = useState(false);
  const [complaint, complain] = useState<string>();
  const [reading, setReading] = useState<Reading>();
  const touched = useRef(changed);

  const change = useCallback((after: Partial<Sources> | ((before: Sources) => Partial<Sources>)) => {
    touched.current = true;
    complain(undefined);
    setSources((before) => ({ ...before, ...(typeof after === "function" ? after(before) : after) }));
  }, []);

  const remove = useCallback(
    ({ table: id, row }: Line) =>
      change(({ tables }) => ({
        tables: tables.map((table) =>
          table.id === id ? { ...table, rows: table.rows.filter((other) => other !== row) } : table,
        ),
      })),
    [change],
  );

  // What the API said was of addresses of another channel.
  useEffect(() => setRefused(NOTHING_REFUSED), [channel]);

  const running = useRef<Promise<Checked>>(Promise.resolve(NOBODY));
  useEffect(() => {
    const stop = new AbortController();
    setBusy(true);
    const result = check(sources, channel, refused, stop.signal);
    running.current = result;
    result.then(
      (now) => {
        setChecked(now);
        setBusy(false);
      },
      () => undefined, // another one has begun
    );
    return () => stop.abort();
  }, [sources, channel, refused]);

  /** What is known once all has been looked at. */
  const settled = useCallback(async (): Promise<Checked> => {
    for (;;) {
      const asked = running.current;
      try {
        const found = await asked;
        if (asked === running.current) return found;
      } catch (error) {
        if (asked === running.current) throw error;
        // It was given up for another one.
      }
    }
  }, []);

  const choices = { leaveOut, setLeaveOut, refused, setRefused, complaint, complain, reading, setReading };
  return { sources, change, remove, touched, checked, busy, settled, ...choices };
}

/** Recipients as the API takes them. */
export const asRecipients = (lines: Line[]): Recipient[] =>
  lines.map(({ to, variables }) => (Object.keys(variables).length > 0 ? { to, variables } : to));
