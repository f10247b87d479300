// Moments, in the time zone that the user has chosen in Airflow's UI.

import { Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";

export function zone(): string {
  try {
    const chosen = localStorage.getItem("timezone");
    const name = chosen?.startsWith('"') ? (JSON.parse(chosen) as string) : chosen;
    if (name && isZone(name)) return name;
  } catch {
    // A browser that keeps nothing, or something else that is kept.
  }
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Whether this browser knows a time zone: the server may have learned of more of them since the browser was made. */
export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The last moment that browsers' fields take: they know years of six digits, and nothing else does. */
export const LAST = "9999-12-31T23:59";

/** What the clock of a zone shows at a moment, as browsers' fields write it; "" if it is none. */
export function onClock(moment: Date, timeZone: string): string {
  if (isNone(moment)) return "";
  // Swedish writes dates as ISO 8601 does.
  const clock = new Intl.DateTimeFormat("sv", { timeZone, dateStyle: "short", timeStyle: "medium" });
  return asInput(clock.format(moment));
}

/** The date and time of an ISO 8601 text, as browsers' fields write them: without seconds where there are none. */
export const asInput = (shown: string): string =>
  shown.slice(0, 19).replace(" ", "T").replace(/(T\d\d:\d\d):00$/, "$1");

const isNone = (moment: Date): boolean => Number.isNaN(moment.getTime());

/** The moment at which the clock of a zone shows this; of two, the first. An invalid date if it shows that never. */
export function momentOf(shown: string, timeZone: string): Date {
  const wanted = Date.parse(`${shown}Z`);
  const off = (moment: number) => Date.parse(`${onClock(new Date(moment), timeZone)}Z`) - moment;
  // No clock is moved twice within a day: one of what it is ahead before and after is right.
  const moments = [wanted - off(wanted - DAY), wanted - off(wanted + DAY)];
  const right = moments.filter((moment) => moment + off(moment) === wanted);
  return new Date(Math.min(...(right.length > 0 ? right : moments)));
}

const DAY = 86_400_000;

/** A zone as moments name it; of what is no moment, as it is named now. */
export function zoneWords(moment: Date, language: string, timeZone: string): string {
  const clock = new Intl.DateTimeFormat(language, { timeZone, timeZoneName: "short" });
  const parts = clock.formatToParts(isNone(moment) ? new Date() : moment);
  return parts.find(({ type }) => type === "timeZoneName")?.value ?? timeZone;
}

/** A moment for people, to the second, with its zone: their own, if their browser does not know the other one. */
export function spoken(moment: string | Date, language: string, timeZone?: string): string {
  const clock = new Intl.DateTimeFormat(language, {
    timeZone: timeZone !== undefined && isZone(timeZone) ? timeZone : zone(),
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  });
  const date = new Date(moment);
  return isNone(date) ? String(moment) : clock.format(date);
}

export function Moment({ at, timeZone }: { at: string | null | undefined; timeZone?: string }) {
  const { i18n } = useTranslation();
  if (!at) return <Text as="span" color="fg.muted">–</Text>;
  return (
    <Text as="time" {...{ dateTime: at }} title={at} whiteSpace="nowrap">
      {spoken(at, i18n.language, timeZone)}
    </Text>
  );
}
