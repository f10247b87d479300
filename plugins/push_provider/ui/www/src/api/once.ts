// Calls that must have one effect, whatever becomes of their answers.

import { useCallback, useRef } from "react";

type Headers = Record<string, string>;

/**
 * Makes a call under an Idempotency-Key. One whose answer got lost, or that was refused, is made again under the same
 * key: if it had its effect after all, the API answers what it was. After an answer the same wish is a new one.
 */
export function useOnce() {
  const keys = useRef(new Map<string, string>());
  /** @param wish what is asked for; another one has another key. */
  return useCallback(async <T>(wish: string, make: (headers: Headers) => Promise<T>): Promise<T> => {
    const key = keys.current.get(wish) ?? `page-${random()}`;
    keys.current.set(wish, key);
    const answer = await make({ "Idempotency-Key": key });
    keys.current.delete(wish);
    return answer;
  }, []);
}

/** Not crypto.randomUUID, which a page without TLS has not. */
const random = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
