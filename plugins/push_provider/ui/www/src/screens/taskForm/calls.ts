// What the form asks the API for as its user types, and how it hands a task in.

import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { call, type PreviewAnswer, type Problem, type Schemas, type TaskAnswer } from "../../api/client";
import { preview } from "../../api/queries";
import type { Document } from "./document";

/** A value once it has not changed for a while. */
export function useResting<T>(value: T, milliseconds: number): T {
  const [resting, setResting] = useState(value);
  useEffect(() => {
    const rest = setTimeout(() => setResting(value), milliseconds);
    return () => clearTimeout(rest);
  }, [value, milliseconds]);
  return resting;
}

/** The answer to a document that is being typed; null asks nothing. */
function useTyped<T>(
  name: string,
  asked: string | null,
  ask: (body: Document, signal: AbortSignal) => Promise<T>,
  rest: number,
) {
  const body = useResting(asked, rest);
  const query = useQuery<T, Problem>({
    queryKey: [name, body],
    queryFn: ({ signal }) => ask(JSON.parse(body ?? "{}") as Document, signal),
    enabled: body !== null,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    gcTime: 60_000,
  });
  return { ...query, resting: body === asked && !query.isFetching };
}

export const useNextExecutions = (asked: string | null) =>
  useTyped(
    "next-executions",
    asked,
    (body, signal) => call<Schemas["NextExecutions"]>("next-executions", { method: "POST", body, signal }),
    300,
  );

export const usePreview = (asked: string | null) =>
  useTyped<PreviewAnswer>("preview", asked, (body, signal) => preview(body, signal), 500);

/** Create a task; the same one again, after an answer that got lost, is the one that there is already. */
export function useCreate() {
  const queries = useQueryClient();
  const last = useRef({ text: "", key: "" });
  return useMutation<TaskAnswer, Problem, Document>({
    mutationFn: (task) => {
      const text = JSON.stringify(task);
      if (last.current.text !== text) last.current = { text, key: `page-${random()}` };
      const headers = { "Idempotency-Key": last.current.key };
      return call<TaskAnswer>("tasks", { method: "POST", body: task, headers });
    },
    onSettled: () => queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "preview" }),
  });
}

/** Not crypto.randomUUID, which a page without TLS has not. */
const random = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
