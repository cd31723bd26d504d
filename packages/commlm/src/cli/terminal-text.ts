/**
 * Text from outside (answers, file names, data, a server's words) on its way to a terminal: it may be read, never obeyed.
 */

/**
 * What a terminal would obey rather than show: C0 controls but for line feed and tab, DEL, C1 controls, and the
 * marks that turn the direction of the text around them.
 */
const OBEYED = /(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;

/** `text` with every control character written out (`\x1b`, `\u202e`); line feeds and tabs stay. */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
