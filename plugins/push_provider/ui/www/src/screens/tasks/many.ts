// The same deed for many push tasks, a few at a time.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "../../api/client";
import { begin } from "../../api/queries";
import type { Deed } from "./actions";

export type Refused = { code: string; error: unknown };
/** Calls at a time: enough to be quick, and few enough to leave the API to others. */
const ABREAST = 4;

export function useMany() {
  const queries = useQueryClient();
  const [course, setCourse] = useState<{ done: number; total: number } | null>(null);

  const done = (code: string, deed: Deed, purge: boolean): Promise<unknown> => {
    if (deed === "delete") return call<void>(`tasks/${code}`, { method: "DELETE", params: { purge } });
    if (deed === "trigger") return begin(code, {});
    return call<unknown>(`tasks/${code}/${deed}`, { method: "POST" });
  };

  /** Do it, and tell which were refused, in the order of the codes. */
  const run = async (codes: string[], deed: Deed, purge: boolean): Promise<Refused[]> => {
    const refused = new Map<string, unknown>();
    const waiting = codes.values();
    let ended = 0;
    setCourse({ done: 0, total: codes.length });
    const work = async () => {
      for (const code of waiting) {
        try {
          await done(code, deed, purge);
        } catch (error) {
          refused.set(code, error);
        }
        ended += 1;
        setCourse({ done: ended, total: codes.length });
      }
    };
    await Promise.all(Array.from({ length: ABREAST }, work));
    // Once for all of them: every list would be asked for again after each. It is not over before, or somebody could
    // begin it again meanwhile.
    await queries.invalidateQueries().finally(() => setCourse(null));
    return codes.filter((code) => refused.has(code)).map((code) => ({ code, error: refused.get(code) }));
  };
  return { course, run };
}
