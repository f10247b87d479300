// Names of variables, as templates can speak of them.

/** What a template sees without anybody's giving it, and words of Jinja's. */
const TAKEN = new Set(
  "to push loop self super caller none true false and or not in is if else elif for set import include".split(" "),
);

/** A name that a Jinja template takes, and that nobody else gives. */
export const isVariable = (name: string): boolean =>
  /^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) && !TAKEN.has(name.toLowerCase());

/** Names of variables for the heads of columns, each another one. */
export function variableNames(heads: string[]): string[] {
  const names: string[] = [];
  heads.forEach((head, index) => {
    let name = head.trim().replace(/[^\p{L}\p{N}_]+/gu, "_").replace(/^_+|_+$/g, "").slice(0, 100);
    if (/^\p{N}/u.test(name)) name = `_${name}`;
    if (!isVariable(name)) name = name === "" ? `column_${index + 1}` : `${name}_`;
    let free = name;
    for (let number = 2; names.includes(free); number++) free = `${name}_${number}`;
    names.push(free);
  });
  return names;
}
