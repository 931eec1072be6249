// How many SMS parts a text takes, as broadcast counts them (3GPP TS 23.038, 23.040): 160 or 153
// septets, 70 or 67 UTF-16 code units. A test holds the same texts against the service's own code.

const BASIC =
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
  "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const ESCAPED = "\f^{}\\[~]|€";
const SEPTETS = new Map<string, number>([
  ...[...BASIC].map((char): [string, number] => [char, 1]),
  ...[...ESCAPED].map((char): [string, number] => [char, 2]),
]);
const LATIN_MARK = "DRILL: ";
const ARABIC_MARK = "تمرين DRILL: ";
export const MOST_PARTS = 255;

export interface Count {
  /** "gsm7" or "ucs2". */
  encoding: string;
  /** Septets or code units of the whole text. */
  units: number;
  parts: number;
  /** Units that the last part still holds. */
  left: number;
}

/** Whether GSM-7 holds every character. */
export function sevenBit(text: string): boolean {
  for (const char of text) if (!SEPTETS.has(char)) return false;
  return true;
}

/** The text with the mark that a drill's message begins with. */
export function marked(text: string, drill: boolean): string {
  if (!drill) return text;
  return sevenBit(LATIN_MARK + text) ? LATIN_MARK + text : ARABIC_MARK + text;
}

/** The parts of a text. A character of two units is never split. */
export function count(text: string): Count {
  const seven = sevenBit(text);
  const widths = [...text].map((char) => (seven ? (SEPTETS.get(char) ?? 1) : char.length));
  const units = widths.reduce((sum, width) => sum + width, 0);
  const [one, many] = seven ? [160, 153] : [70, 67];
  const encoding = seven ? "gsm7" : "ucs2";
  if (units <= one) return { encoding, units, parts: 1, left: one - units };
  let parts = 1;
  let filled = 0;
  for (const width of widths) {
    if (filled + width > many) {
      parts += 1;
      filled = 0;
    }
    filled += width;
  }
  return { encoding, units, parts, left: many - filled };
}

export interface Filled {
  /** The text with every placeholder's default, or its name where it has none. */
  text: string;
  /** Names of its placeholders, each once. */
  fields: string[];
}

/** What a template says when nothing is known of the person. Braces that close nothing stay. */
export function filled(template: string): Filled {
  const fields: string[] = [];
  const text = template.replace(
    /\{\{|\}\}|\{([^{}\n|]+)(?:\|([^{}\n]*))?\}/g,
    (found, name: string | undefined, fallback: string | undefined) => {
      if (name === undefined) return found[0] ?? "";
      const field = name.trim();
      if (!fields.includes(field)) fields.push(field);
      return fallback ?? field;
    },
  );
  return { text, fields };
}
