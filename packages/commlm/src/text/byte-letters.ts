/**
 * The alphabet of byte-level BPE (GPT-2): each of the 256 bytes has a printable letter. Bytes that print as themselves
 * in Latin-1 keep their letter, the other 68 take the letters from U+0100 on, in order.
 */

const LETTER_OF_BYTE: readonly string[] = buildLetters();
const BYTE_OF_LETTER: ReadonlyMap<string, number> = new Map(LETTER_OF_BYTE.map((letter, byte) => [letter, byte]));
const utf8 = new TextEncoder();

function buildLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCodePoint(printable ? byte : next++);
  });
}

/** All 256 letters, byte 0 first. */
export const BYTE_LETTERS: readonly string[] = LETTER_OF_BYTE;

/** The UTF-8 bytes of a text, each as its letter. */
export function toByteLetters(text: string): string {
  return Array.from(utf8.encode(text), (byte) => LETTER_OF_BYTE[byte]).join('');
}

/** The bytes that letters stand for; characters outside the alphabet are dropped. */
export function fromByteLetters(letters: string): Uint8Array {
  return Uint8Array.from([...letters].flatMap((letter) => BYTE_OF_LETTER.get(letter) ?? []));
}
