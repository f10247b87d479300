// What the screens ask the API for. Lists refresh by themselves while the page is in front.

import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import {
  address,
  call,
  callAirflow,
  type Config,
  type DeliveryPage,
  type EmailService,
  type ExecutionAnswer,
  type ExecutionPage,
  type Params,
  type PreviewAnswer,
  type Problem,
  type Schemas,
  type TaskDetail,
  type TaskPage,
} from "./client";
import { rough } from "./exact";
import { once } from "./once";

/** Milliseconds after which lists are asked for again. */
export const REFRESH = 5_000;
/** The same while something moves. */
export const QUICK = 1_500;

// --- who asks ------------------------------------------------------------------------------------------

export type RightName =
  | "read"
  | "edit"
  | "run"
  | "delete"
  | "read configurations"
  | "edit configurations"
  | "test configurations";

export function useMe(task?: string) {
  return useQuery({
    queryKey: ["me", task],
    queryFn: () => call<Schemas["Me"]>("me", { params: { task } }),
    staleTime: 60_000,
  });
}

/** What the caller may do, at all or with one push task; until it is known, nothing that changes anything. */
export function useRights(task?: string) {
  const { data, isPending } = useMe(task);
  const rights = new Set<string>(data?.rights ?? []);
  return { pending: isPending, known: data !== undefined, name: data?.name, may: (right: RightName) => rights.has(right) };
}

// --- push tasks ----------------------------------------------------------------------------------------

export function useTasks(params: Params, refresh: number | false = REFRESH) {
  return useQuery({
    queryKey: ["tasks", params],
    queryFn: ({ signal }) => call<TaskPage>("tasks", { params, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: refresh,
  });
}

const detail = async (code: string | undefined, signal: AbortSignal): Promise<TaskDetail> => {
  const found = await call<TaskDetail>(`tasks/${code}`, { signal, exact: true });
  const plain = <T extends object>(some: T): T =>
    Object.fromEntries(Object.entries(some).map(([name, value]) => [name, rough(value)])) as T;
  // The numbers of people's variables stay as they are written; those of the page are numbers.
  return { ...plain(found), task: plain(found.task) };
};

/** Recipients from which on a task, which comes with all of them, is too large to be asked for every few seconds. */
const LARGE = 1_000;
const SELDOM = 60_000;

export function useTask(code: string | undefined) {
  return useQuery({
    queryKey: ["task", code],
    queryFn: ({ signal }) => detail(code, signal),
    enabled: code !== undefined,
    refetchInterval: ({ state }) => ((state.data?.recipients ?? 0) > LARGE ? SELDOM : REFRESH),
  });
}

/** The task that a form begins with: as it is stored now, and not as it was shown some minutes ago. */
export function useStoredTask(code: string | undefined) {
  return useQuery({
    queryKey: ["stored task", code],
    queryFn: ({ signal }) => detail(code, signal),
    enabled: code !== undefined,
    gcTime: 0,
  });
}

export type TaskDeed = "pause" | "resume" | "cancel";

/** Change something, and look at everything anew afterwards; before that, `onDone` may leave what is gone now. */
function useDeed<Input, Output>(deed: (input: Input) => Promise<Output>, onDone?: (output: Output, input: Input) => void) {
  const queries = useQueryClient();
  return useMutation<Output, Problem, Input>({
    mutationFn: deed,
    onSuccess: onDone,
    onSettled: () => queries.invalidateQueries(),
  });
}

export const useTaskDeed = () =>
  useDeed(({ code, deed }: { code: string; deed: TaskDeed }) => call<unknown>(`tasks/${code}/${deed}`, { method: "POST" }));

export const useDeleteTask = (onDeleted?: (code: string) => void) =>
  useDeed(
    ({ code, purge }: { code: string; purge: boolean }) =>
      call<void>(`tasks/${code}`, { method: "DELETE", params: { purge } }),
    (_, { code }) => onDeleted?.(code),
  );

export type Trigger = { recipients?: unknown[]; variables?: Record<string, unknown> };

/** Begin an execution; one whose answer got lost does not begin again. */
export const begin = (code: string, body: Trigger) =>
  once(`trigger ${code} ${JSON.stringify(body)}`, (headers) =>
    call<Schemas["Begun"]>(`tasks/${code}/trigger`, { method: "POST", body, headers }),
  );

export const useTrigger = () => useDeed(({ code, ...body }: Trigger & { code: string }) => begin(code, body));

export const useChangeTask = () =>
  useDeed(({ code, patch }: { code: string; patch: Record<string, unknown> }) =>
    call<TaskDetail>(`tasks/${code}`, { method: "PATCH", body: patch }),
  );

export const preview = (body: Record<string, unknown>, signal?: AbortSignal) =>
  call<PreviewAnswer>("preview", { method: "POST", body, signal, exact: true });

// --- executions and deliveries -------------------------------------------------------------------------

export function useExecutions(params: Params, refresh: number | false = REFRESH) {
  return useQuery({
    queryKey: ["executions", params],
    queryFn: ({ signal }) => call<ExecutionPage>("executions", { params, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: refresh,
  });
}

export const moves = (execution: ExecutionAnswer | undefined): boolean =>
  execution !== undefined && (execution.state === "planned" || execution.state === "running");

export function useExecution(id: string | undefined) {
  return useQuery({
    queryKey: ["execution", id],
    queryFn: ({ signal }) => call<ExecutionAnswer>(`executions/${id}`, { signal }),
    enabled: id !== undefined,
    refetchInterval: ({ state }) => (moves(state.data) ? QUICK : REFRESH),
  });
}

export const useRedrive = () =>
  useDeed(({ execution, ...body }: { execution: number } & Partial<Schemas["Redrive"]>) =>
    call<Schemas["Redriven"]>(`executions/${execution}/redrive`, { method: "POST", body }),
  );

export function useDeliveries(params: Params, refresh: number | false = REFRESH) {
  return useQuery({
    queryKey: ["deliveries", params],
    queryFn: ({ signal }) => call<DeliveryPage>("deliveries", { params, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: refresh,
  });
}

/** Where the deliveries come from as a CSV that Excel opens rightly. */
export const deliveriesCsv = (params: Params): string => address("deliveries", { ...params, excel: true });

export function useStats(params: Params) {
  return useQuery({
    queryKey: ["stats", params],
    queryFn: ({ signal }) => call<Schemas["StatsAnswer"]>("stats", { params, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH,
  });
}

// --- channels and configurations -----------------------------------------------------------------------

export function useChannels() {
  return useQuery({ queryKey: ["channels"], queryFn: () => call<Schemas["Channels"]>("channels"), staleTime: Infinity });
}

export function useConfigs(enabled = true) {
  return useQuery({
    queryKey: ["configs"],
    queryFn: () => call<Schemas["Configs"]>("configs"),
    enabled,
    refetchInterval: REFRESH,
  });
}

export function useEmailServices() {
  return useQuery({
    queryKey: ["services"],
    queryFn: () => call<{ items: EmailService[] }>("email-services"),
    staleTime: Infinity,
  });
}

export const testConfig = (id: string) =>
  call<Schemas["TestResult"]>(`configs/${encodeURIComponent(id)}/test`, { method: "POST" });

export const useMakeDefault = () =>
  useDeed((id: string) => call<void>(`configs/${encodeURIComponent(id)}/default`, { method: "PUT" }));

/** An Airflow connection, as Airflow's API has it; `extra` is JSON as text. */
export type AirflowConnection = {
  connection_id: string;
  conn_type: string;
  description: string | null;
  host: string | null;
  login: string | null;
  schema: string | null;
  port: number | null;
  password?: string | null;
  extra: string | null;
};

export function useConnection(id: string | undefined) {
  return useQuery({
    queryKey: ["connection", id],
    queryFn: () => callAirflow<AirflowConnection>(`connections/${encodeURIComponent(id ?? "")}`),
    enabled: id !== undefined,
    gcTime: 0, // a form begins with what is stored now
  });
}

export const useSaveConnection = () =>
  useDeed(({ connection, exists }: { connection: Partial<AirflowConnection> & { connection_id: string }; exists: boolean }) =>
    exists
      ? callAirflow<AirflowConnection>(`connections/${encodeURIComponent(connection.connection_id)}`, {
          method: "PATCH",
          body: connection,
        })
      : callAirflow<AirflowConnection>("connections", { method: "POST", body: connection }),
  );

export const useDeleteConnection = () =>
  useDeed((id: string) => callAirflow<void>(`connections/${encodeURIComponent(id)}`, { method: "DELETE" }));

export const configOf = (configs: Config[] | undefined, id: string | null | undefined): Config | undefined =>
  configs?.find((config) => config.id === id);
