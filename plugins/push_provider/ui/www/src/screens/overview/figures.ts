// The last day, hour by hour and channel by channel.

import type { Schemas } from "../../api/client";

type Hour = Schemas["HourAnswer"];
export type Row = { hour: number; of: Map<string, Hour> };

const HOUR = 3_600_000;

/** Every hour from the first to the last one, also those in which nothing was pushed; oldest first. */
export function rowsOf({ begun_from: from, begun_to: to, items }: Schemas["StatsAnswer"]): Row[] {
  const first = Math.floor(Date.parse(from) / HOUR);
  const last = Math.floor(Date.parse(to) / HOUR);
  const rows = Array.from(
    { length: last - first + 1 },
    (_, index): Row => ({ hour: (first + index) * HOUR, of: new Map() }),
  );
  for (const item of items) rows[Math.floor(Date.parse(item.hour) / HOUR) - first]?.of.set(item.channel, item);
  return rows;
}

export const channelsOf = (items: Hour[]): string[] => [...new Set(items.map(({ channel }) => channel))].sort();
