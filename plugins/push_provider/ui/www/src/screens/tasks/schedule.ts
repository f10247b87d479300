// When a push task is sent, in words.

import type { TFunction } from "i18next";
import { isZone, spoken } from "../../components/moment";

/** A schedule as the contract has it; those of another version may hold what we do not know. */
type Schedule = Record<string, unknown>;

export const zoneOf = (schedule: Schedule): string | undefined =>
  typeof schedule.timezone === "string" ? schedule.timezone : undefined;

export function scheduleWords(t: TFunction, language: string, schedule: Schedule): string {
  const zone = zoneOf(schedule);
  const { kind } = schedule;
  if (kind === "at") return t("tasks.when.at", { at: momentWords(String(schedule.at), language, zone) });
  const when =
    kind === "now" || kind === "manual"
      ? t(`tasks.when.${kind}`)
      : kind === "hourly"
        ? t("tasks.when.hourly", { minute: schedule.minute })
        : kind === "daily"
          ? t("tasks.when.daily", { time: schedule.time })
          : kind === "cron"
            ? t("tasks.when.cron", { cron: schedule.cron })
            : String(kind);
  return zone === undefined ? when : t("tasks.when.zone", { when, zone });
}

/** A moment of a schedule: with an offset it is one, without it is what a clock of the task's zone shows. */
function momentWords(at: string, language: string, zone: string | undefined): string {
  // Of a zone that this browser does not know, what was written says it, too.
  const known = zone === undefined || isZone(zone);
  if (known && /(Z|[+-]\d\d:\d\d)$/i.test(at)) return spoken(at, language, zone);
  return zone === undefined ? at : `${at} (${zone})`;
}
