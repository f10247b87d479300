// When today began, on the clock of a time zone.

/** Milliseconds of the day that have passed there. */
function passed(moment: number, timeZone: string): number {
  const clock = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    hourCycle: "h23",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const part = Object.fromEntries(clock.formatToParts(moment).map(({ type, value }) => [type, Number(value)]));
  return (((part.hour ?? 0) * 60 + (part.minute ?? 0)) * 60 + (part.second ?? 0)) * 1_000 + (moment % 1_000);
}

export function dayBegin(now: number, timeZone: string): Date {
  const guess = now - passed(now, timeZone);
  // Where a clock was moved since, the guess is off by as much; before noon it is late, after noon early.
  const off = passed(guess, timeZone);
  return new Date(off < 12 * 3_600_000 ? guess - off : guess + (24 * 3_600_000 - off));
}
