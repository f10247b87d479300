// Calls that must have one effect, whatever becomes of their answers.

type Headers = Record<string, string>;
type Key = { key: string; since: number };

/** Milliseconds after which a wish is another one: whoever has no answer looks by then whether it had its effect. */
const SAME = 3_600_000;

/** The keys of what has not been answered yet. They outlive the dialogs that ask, which a user may close and reopen. */
const keys = new Map<string, Key>();

/**
 * Makes a call under an Idempotency-Key. One whose answer got lost, or that was refused, is made again under the same
 * key: if it had its effect after all, the API answers what it was. After an answer the same wish is a new one.
 *
 * @param wish what is asked for; another one has another key.
 */
export async function once<T>(wish: string, make: (headers: Headers) => Promise<T>): Promise<T> {
  const now = Date.now();
  for (const [old, { since }] of keys) if (now - since > SAME) keys.delete(old);
  const mine = keys.get(wish) ?? { key: `page-${random()}`, since: now };
  keys.set(wish, mine);
  const answer = await make({ "Idempotency-Key": mine.key });
  if (keys.get(wish) === mine) keys.delete(wish);
  return answer;
}

/** Not crypto.randomUUID, which a page without TLS has not. */
const random = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
