/** The options of a multiple-choice question as lines of a prompt. */

/** `A. a dog` and so on, one option a line. */
export function optionLines(options: Iterable<readonly [letter: string, text: string]>): string {
  return [...options].map(([letter, text]) => `${letter}. ${text}`).join('\n');
}

/** Options in order get the letters A, B, ... */
export function lettersOf<Option>(options: readonly Option[]): (readonly [letter: string, option: Option])[] {
  return options.map((option, i) => [String.fromCharCode('A'.charCodeAt(0) + i), option] as const);
}

/** The same as lines. */
export function letterOptions(options: readonly string[]): string {
  return optionLines(lettersOf(options));
}
