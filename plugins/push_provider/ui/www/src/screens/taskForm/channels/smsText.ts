// The text of a provider's SMS template: which parameters it has, and how long the message becomes.

/** `${name}`, as Aliyun's templates have it. */
const PLACEHOLDER = /\$\{\s*([^{}\s]{1,100})\s*\}/g;

/** The names of the parameters that a text speaks of: a template's text, or a note that holds one or a JSON object. */
export function placeholdersOf(text: string): string[] {
  const names = [...text.matchAll(PLACEHOLDER)].map(([, name]) => name as string);
  const object = /\{[^]*\}/.exec(text)?.[0];
  if (names.length === 0 && object !== undefined) {
    try {
      names.push(...Object.keys(JSON.parse(object) as object));
    } catch {
      // A note for people: nothing is known from it.
    }
  }
  return [...new Set(names)];
}

/** The message as it arrives: the signature in front, and values in place of the placeholders. */
export function filled(template: string, signature: string, parameters: Record<string, string>): string {
  const text = template.replace(PLACEHOLDER, (whole, name: string) => parameters[name] ?? whole);
  return signature === "" || text.startsWith("【") ? text : `【${signature}】${text}`;
}

/** The characters of GSM 03.38 and its extension: a message of these alone holds more. */
const GSM = /^[\n\r !-_a-z{|}~@£$¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà€^]*$/;

/**
 * How long a message is, and as how many it is charged, its signature counted: 70 characters are one, and 67 each are
 * more (https://help.aliyun.com/document_detail/55324.html). Abroad, one without other letters has 160, and 153 each.
 */
export function lengthOf(text: string, international: boolean): { characters: number; messages: number } {
  const [one, each] = international && GSM.test(text) ? [160, 153] : [70, 67];
  const characters = text.length;
  return { characters, messages: characters <= one ? 1 : Math.ceil(characters / each) };
}
