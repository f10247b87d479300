// What the rejected messages' screen asks the API for.

import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { call, Problem, type Params, type Schemas } from "../../api/client";
import { REFRESH } from "../../api/queries";
import { wordsOf } from "../../components/messages";

/** A rejected message, as lists show it. */
export type Rejected = Schemas["RejectedAnswer"];
/** With the message itself: as text if it is UTF-8, else as base64. */
export type RejectedMessage = Schemas["RejectedDetail"];

export function useRejected(params: Params) {
  return useQuery({
    queryKey: ["rejected", params],
    queryFn: ({ signal }) => call<Schemas["RejectedPage"]>("rejected", { params, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH,
  });
}

export function useRejectedMessage(id: number) {
  return useQuery({
    queryKey: ["rejected", id],
    queryFn: ({ signal }) => call<RejectedMessage>(`rejected/${id}`, { signal }),
    staleTime: Infinity, // it stays as it came
  });
}

/** What came of a replay: how many were taken, and why the others were not. */
export type Outcome = { taken: number; refusals: string[] };

/** Replay messages, one after the other in the order in which they came. */
export function useReplay() {
  const queries = useQueryClient();
  return useMutation<Outcome, Problem, number[]>({
    mutationFn: async (ids) => {
      const outcome: Outcome = { taken: 0, refusals: [] };
      for (const id of ids.toSorted((a, b) => a - b)) {
        const refusal = await replay(id);
        if (refusal === null) outcome.taken += 1;
        else outcome.refusals.push(`${id}: ${refusal}`);
      }
      return outcome;
    },
    onSettled: () => queries.invalidateQueries(),
  });
}

/** Replay one; returns why it was rejected again, or null if it was not. */
async function replay(id: number): Promise<string | null> {
  try {
    const { action, reason } = await call<Schemas["Replayed"]>(`rejected/${id}/replay`, { method: "POST" });
    return action === "rejected" ? (reason ?? "") : null;
  } catch (error) {
    // What is refused of one says nothing of the others; a server that is away does.
    if (error instanceof Problem && error.status >= 400 && error.status < 500) return wordsOf(error);
    throw error;
  }
}
