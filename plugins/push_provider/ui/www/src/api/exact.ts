// JSON whose numbers stay as they are written: for a template, 12.50 is not 12.5, and an order number may have twenty
// digits. Browsers that do not know JSON.rawJSON (before 2023 to 2025) cannot keep that.

type Exact = {
  rawJSON?: (text: string) => unknown;
  isRawJSON?: (value: unknown) => boolean;
  parse: (text: string, reviver: (key: string, value: unknown, context?: { source?: string }) => unknown) => unknown;
};
const { rawJSON, isRawJSON, parse } = JSON as Exact;

/** The value of a JSON text; a number that JavaScript would write otherwise is an object that JSON.stringify writes so. */
export function read(text: string): unknown {
  return parse(text, (_, value, context) => {
    const source = typeof value === "number" ? context?.source : undefined;
    return source !== undefined && source !== String(value) && rawJSON !== undefined ? rawJSON(source) : value;
  });
}

/** Whether it is such a number. */
export const isExact = (value: unknown): boolean => isRawJSON?.(value) ?? false;

/** The same value, or such a number as JavaScript has it. */
export const rough = <T>(value: T): T => (isExact(value) ? (JSON.parse(JSON.stringify(value)) as T) : value);
