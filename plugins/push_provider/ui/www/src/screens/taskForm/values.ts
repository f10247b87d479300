// What the form holds: texts as they are typed. document.ts makes a push task of them.

import type { TaskDetail } from "../../api/client";
import { asInput, isZone, onClock, zone } from "../../components/moment";

export const KINDS = ["now", "at", "hourly", "daily", "cron", "manual"] as const;
export type Kind = (typeof KINDS)[number];
/** A parameter of the provider's SMS template. */
export type Parameter = { name: string; value: string };
/** An email's file: a path below include/, or the file itself. */
export type Attachment = string | { name: string; content_base64: string };

export type Values = {
  code: string;
  name: string;
  channel: string;
  config: string;
  execution: { type: "once" | "loop"; max_executions: string };
  schedule: { kind: Kind; at: string; minute: string; time: string; cron: string; timezone: string };
  /** The channels' own fields by channel and name, so that choosing another channel and coming back loses nothing. */
  own: Record<string, Record<string, string>>;
  /** Where an email's body comes from. */
  source: "content" | "template";
  attachments: Attachment[];
  parameters: Parameter[];
  /** The text of the provider's SMS template: never sent, it names the parameters and is counted. */
  templateText: string;
  category: string;
  app: string;
  owner: string;
  missed: string;
  on_unknown: string;
  max_active_runs: string;
  retries: string;
  retry_delay: string;
  variables: string;
};

/** A push task as the API gives it; what other packages' channels have besides is unknown. */
export type Spec = TaskDetail["task"] & Record<string, unknown>;

export function emptyValues(channel: string): Values {
  return {
    code: "",
    name: "",
    channel,
    config: "",
    execution: { type: "once", max_executions: "" },
    schedule: { kind: "now", at: "", minute: "0", time: "09:00", cron: "", timezone: zone() },
    own: {},
    source: "content",
    attachments: [],
    parameters: [],
    templateText: "",
    category: "service",
    app: "",
    owner: "",
    missed: "",
    on_unknown: "",
    max_active_runs: "",
    retries: "",
    retry_delay: "",
    variables: "",
  };
}

/** What a text field shows of a value. */
export const asText = (value: unknown): string =>
  value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2);

/** What all channels have of a task that exists. */
export function commonValues(spec: Spec): Values {
  const empty = emptyValues(spec.channel);
  const { execution, schedule } = spec;
  const max = execution?.type === "loop" ? execution.max_executions : null;
  return {
    ...empty,
    code: spec.code ?? "",
    name: spec.name,
    config: spec.config ?? "",
    execution: { type: execution?.type ?? "once", max_executions: asText(max) },
    schedule: schedule ? scheduleValues(schedule, empty.schedule) : empty.schedule,
    category: spec.category ?? empty.category,
    app: spec.app ?? "",
    owner: spec.owner ?? "",
    missed: spec.missed ?? "",
    on_unknown: spec.on_unknown ?? "",
    max_active_runs: asText(spec.max_active_runs),
    retries: asText(spec.retries),
    retry_delay: asText(spec.retry_delay),
    variables: Object.keys(spec.variables ?? {}).length ? asText(spec.variables) : "",
  };
}

function scheduleValues(schedule: NonNullable<Spec["schedule"]>, empty: Values["schedule"]): Values["schedule"] {
  const own = { ...empty, kind: schedule.kind };
  if (schedule.kind === "now" || schedule.kind === "manual") return own;
  const clock = { ...own, timezone: schedule.timezone ?? "" };
  switch (schedule.kind) {
    case "at":
      return { ...clock, ...wallClock(schedule.at, schedule.timezone) };
    case "hourly":
      return { ...clock, minute: String(schedule.minute) };
    case "daily":
      return { ...clock, time: schedule.time };
    default:
      return { ...clock, cron: schedule.cron };
  }
}

/**
 * What a clock shows at a moment: that of the schedule; or the user's, if the moment has an offset and nothing else, or
 * this browser does not know the schedule's.
 */
function wallClock(at: string, timezone: string | null | undefined): { at: string; timezone: string } {
  if (!/(z|[+-]\d\d:\d\d)$/i.test(at)) return { at: asInput(at), timezone: timezone ?? "" };
  const timeZone = timezone && isZone(timezone) ? timezone : zone();
  return { at: onClock(new Date(at), timeZone), timezone: timeZone };
}
