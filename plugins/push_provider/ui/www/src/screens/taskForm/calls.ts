// What the form asks the API for as its user types, and how it hands a task in.

import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { call, type PreviewAnswer, type Problem, type Schemas, type TaskAnswer } from "../../api/client";
import { read } from "../../api/exact";
import { once } from "../../api/once";
import { preview } from "../../api/queries";
import type { Document } from "./patch";

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
    queryFn: ({ signal }) => ask(read(body ?? "{}") as Document, signal),
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

/** Create a task; made again after an answer that got lost, it is the one that there is already. */
export function useCreate() {
  const queries = useQueryClient();
  return useMutation<TaskAnswer, Problem, Document>({
    mutationFn: (task) =>
      once(`create ${JSON.stringify(task)}`, (headers) =>
        call<TaskAnswer>("tasks", { method: "POST", body: task, headers }),
      ),
    onSettled: () => queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "preview" }),
  });
}
