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
