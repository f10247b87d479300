// Filters, order and page of a list live in the address: a list can be sent to somebody, and "back" goes back.

import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router-dom";

export type Filters = Record<string, string>;
export type Place = Pick<ReturnType<typeof useFilters>, "limit" | "offset" | "set">;

/** Rows that the API leaves out at most before a page (api/paging.py); others are found by filters. */
export const FARTHEST = 10_000;

export function useFilters(names: readonly string[], pageSize = 25) {
  const [query, setQuery] = useSearchParams();
  const filters = useMemo(
    () => Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""])) as Filters,
    [query, names],
  );
  const between = (least: number, value: number, most: number) => Math.trunc(Math.min(Math.max(value, least), most));
  const limit = between(1, Number(query.get("limit")) || pageSize, 100);
  const offset = between(0, Number(query.get("offset")) || 0, FARTHEST);

  const set = useCallback(
    (changes: Record<string, string | number | null>, replace = true) => {
      setQuery(
        () => {
          // As the address stands, not as it was drawn last: two changes may come before the first of them is drawn.
          const after = new URLSearchParams(window.location.search);
          if (!("offset" in changes)) after.delete("offset"); // another list begins at its beginning
          for (const [name, value] of Object.entries(changes)) {
            if (value === null || value === "" || (name === "offset" && value === 0)) after.delete(name);
            else after.set(name, String(value));
          }
          return after;
        },
        { replace },
      );
    },
    [setQuery],
  );
  const clear = useCallback(() => setQuery({}, { replace: true }), [setQuery]);
  const active = names.some((name) => filters[name] !== "");
  return { filters, limit, offset, set, clear, active };
}
