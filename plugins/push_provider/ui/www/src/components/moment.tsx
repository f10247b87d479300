// Moments, in the time zone that the user has chosen in Airflow's UI.

import { Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";

export function zone(): string {
  try {
    const chosen = localStorage.getItem("timezone");
    const name = chosen?.startsWith('"') ? (JSON.parse(chosen) as string) : chosen;
    if (name) {
      new Intl.DateTimeFormat("en", { timeZone: name });
      return name;
    }
  } catch {
    // Nothing kept, or a zone that this browser does not know.
  }
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** What the clock of a zone shows at a moment, to the minute, as browsers' fields write it. */
export function onClock(moment: Date, timeZone: string): string {
  // Swedish writes dates as ISO 8601 does.
  const clock = new Intl.DateTimeFormat("sv", { timeZone, dateStyle: "short", timeStyle: "short" });
  return clock.format(moment).replace(" ", "T");
}

/** The moment at which the clock of a zone shows this; of two, the first. */
export function momentOf(shown: string, timeZone: string): Date {
  const wanted = Date.parse(`${shown.slice(0, 16)}Z`);
  const off = (moment: number) => Date.parse(`${onClock(new Date(moment), timeZone)}Z`) - moment;
  // No clock is moved twice within a day: one of what it is ahead before and after is right.
  const moments = [wanted - off(wanted - DAY), wanted - off(wanted + DAY)];
  const right = moments.filter((moment) => moment + off(moment) === wanted);
  return new Date(Math.min(...(right.length > 0 ? right : moments)));
}

const DAY = 86_400_000;

/** A zone as moments name it. */
export function zoneWords(moment: Date, language: string, timeZone: string): string {
  const parts = new Intl.DateTimeFormat(language, { timeZone, timeZoneName: "short" }).formatToParts(moment);
  return parts.find(({ type }) => type === "timeZoneName")?.value ?? timeZone;
}

/** A moment for people, to the second, with its zone. */
export function spoken(moment: string | Date, language: string, timeZone = zone()): string {
  return new Intl.DateTimeFormat(language, {
    timeZone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  }).format(new Date(moment));
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
