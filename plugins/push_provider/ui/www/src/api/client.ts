// The one way to the REST API: JSON in, JSON out, problem details (RFC 9457) as errors.

import { read } from "./exact";
import type { components } from "./schema";

export type Schemas = components["schemas"];
export type TaskAnswer = Schemas["TaskAnswer"];
export type TaskDetail = Schemas["TaskDetail"];
export type TaskPage = Schemas["TaskPage"];
export type ExecutionAnswer = Schemas["ExecutionAnswer"];
export type ExecutionPage = Schemas["ExecutionPage"];
export type DeliveryAnswer = Schemas["DeliveryAnswer"];
export type DeliveryPage = Schemas["DeliveryPage"];
export type Config = Schemas["Config"];
export type PreviewAnswer = Schemas["PreviewAnswer"];
export type EmailService = Schemas["EmailService"];
export type BrokenField = { field: string; message: string };

/** Query parameters; what is undefined, null or "" is left out. */
export type Params = Record<string, string | number | boolean | null | undefined>;

/** What the API refused, in its own words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly errors: BrokenField[] = [],
  ) {
    super(message);
  }
}

/** Where Airflow is mounted, with a slash at its end. */
export const airflow = (): string => new URL(".", document.baseURI).pathname;

/** A path of our API with its query. */
export function address(path: string, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `${airflow()}push/v1/${path}${text ? `?${text}` : ""}`;
}

type Call = {
  method?: string;
  body?: unknown;
  params?: Params;
  signal?: AbortSignal;
  headers?: Record<string, string>;
  /** Numbers of the answer stay as they are written. */
  exact?: boolean;
};

/**
 * Call our API. Throws a Problem for every answer that is none of 2xx, and for none at all (status 0). Whoever is not
 * logged in any more (status 401) is led to the login.
 */
export async function call<T>(path: string, { params, ...rest }: Call = {}): Promise<T> {
  return fetched<T>(address(path, params), rest);
}

/** Call Airflow's own API, as its UI does. */
export async function callAirflow<T>(path: string, rest: Call = {}): Promise<T> {
  return fetched<T>(`${airflow()}api/v2/${path}`, rest);
}

async function fetched<T>(url: string, asked: Omit<Call, "params">): Promise<T> {
  const { method = "GET", body, signal, headers = {}, exact = false } = asked;
  const patch = method === "PATCH" && url.includes("/push/v1/");
  const type = patch ? "application/merge-patch+json" : "application/json";
  let answer: Response;
  try {
    answer = await fetch(url, {
      method,
      signal,
      credentials: "same-origin",
      headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": type }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "no-answer", "");
  }
  if (answer.status === 204) return undefined as T;
  const text = await answer.text();
  if (answer.ok) return (text === "" ? undefined : exact ? read(text) : JSON.parse(text)) as T;
  const refused = problem(answer.status, text);
  if (!isLoggedOut(refused)) throw refused;
  logIn();
  throw new Problem(401, refused.code, refused.message);
}

/** Whether somebody was logged in and is not any more: what Airflow's own UI takes for it. */
const isLoggedOut = ({ status, message }: Problem): boolean =>
  status === 401 || (status === 403 && message === "Invalid JWT token");

let leaving = false;

/** Leave for Airflow's login, which leads back here. Once: whatever else is refused until then asks for no more. */
function logIn(): void {
  if (leaving) return;
  leaving = true;
  const { pathname, search, hash } = window.location;
  const back = new URLSearchParams({ next: `${pathname}${search}${hash}` });
  window.location.replace(`${airflow()}api/v2/auth/login?${back.toString()}`);
}

function problem(status: number, text: string): Problem {
  try {
    const said = JSON.parse(text);
    const detail = typeof said.detail === "string" ? said.detail : JSON.stringify(said.detail ?? said.title ?? "");
    return new Problem(status, String(said.code ?? status), detail, said.errors ?? []);
  } catch {
    return new Problem(status, String(status), text.slice(0, 300));
  }
}
