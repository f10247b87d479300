// Keeps the draft while the form is filled in.

import { useCallback, useEffect, useRef, useState } from "react";
import type { UseFormReturn } from "react-hook-form";
import { forgetDraft, keepDraft, NOTHING_LEFT_OUT, type Beginning } from "./draft";
import type { Roll } from "./recipients/useRoll";
import type { Values } from "./values";

/** Milliseconds of rest after which it is written. */
const REST = 500;

/**
 * @param base what is changed.
 * @param place the form, among all that the user may have begun.
 */
export function useDraft(form: UseFormReturn<Values>, base: Beginning, roll: Roll, user: string, place: string) {
  const [leftOut, setLeftOut] = useState(NOTHING_LEFT_OUT);
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined);
  const latest = useRef<() => void>(() => undefined);
  const over = useRef(false);
  const first = useRef(JSON.stringify(form.getValues()));
  const { sources, touched } = roll;

  latest.current = () => {
    clearTimeout(waiting.current);
    waiting.current = undefined;
    const values = form.getValues();
    if (over.current) return;
    if (!touched.current && JSON.stringify(values) === first.current) return; // nothing was changed
    setLeftOut(keepDraft(user, place, values, base, touched.current ? sources : null));
  };
  const soon = useCallback(() => {
    clearTimeout(waiting.current);
    waiting.current = setTimeout(() => latest.current(), REST);
  }, []);

  useEffect(() => form.subscribe({ formState: { values: true }, callback: soon }), [form, soon]);
  useEffect(() => {
    if (touched.current) soon();
  }, [sources, touched, soon]);
  useEffect(() => {
    const now = () => waiting.current !== undefined && latest.current();
    window.addEventListener("pagehide", now);
    return () => {
      window.removeEventListener("pagehide", now);
      now();
    };
  }, []);

  /** It is saved, or thrown away. */
  const forget = useCallback(() => {
    over.current = true;
    clearTimeout(waiting.current);
    waiting.current = undefined;
    forgetDraft(user, place);
  }, [user, place]);
  return { leftOut, forget };
}
