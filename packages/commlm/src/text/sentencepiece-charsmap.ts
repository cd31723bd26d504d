/**
 * The precompiled character map of a SentencePiece model: a double-array trie (Darts) over UTF-8 bytes whose values are
 * offsets of NUL-terminated replacements. At each place the longest entry is replaced.
 */

/** A parsed map. */
export class Charsmap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;

  constructor(bytes: Uint8Array, fail: (why: string) => never) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const trieBytes = bytes.length < 4 ? 0 : view.getUint32(0, true);
    if (trieBytes < 4 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) fail('its character map is damaged');
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = bytes.subarray(4 + trieBytes);
  }

  /** The text with every entry replaced. */
  apply(text: string): string {
    const input = new TextEncoder().encode(text);
    const out: number[] = [];
    for (let at = 0; at < input.length; ) {
      const match = this.#longest(input, at);
      if (match === undefined) {
        const end = at + charBytes(input[at] as number);
        while (at < end && at < input.length) out.push(input[at++] as number);
        continue;
      }
      for (let i = match.value; i < this.#replacements.length && this.#replacements[i] !== 0; i++) {
        out.push(this.#replacements[i] as number);
      }
      at += match.length;
    }
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(out));
  }

  /** Walks the trie; a step outside the array is no match. */
  #longest(input: Uint8Array, start: number): { length: number; value: number } | undefined {
    const units = this.#units;
    let node = offsetOf(units[0] as number);
    let found: { length: number; value: number } | undefined;
    for (let at = start; at < input.length; at++) {
      const byte = input[at] as number;
      if (byte === 0) break;
      node = (node ^ byte) >>> 0;
      const unit = units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
      node = (node ^ offsetOf(unit)) >>> 0;
      if (((unit >>> 8) & 1) === 1) {
        const leaf = units[node];
        if (leaf === undefined) break;
        found = { length: at + 1 - start, value: leaf & 0x7fffffff };
      }
    }
    return found;
  }
}

const offsetOf = (unit: number): number => ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;

const charBytes = (first: number): number => (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4);
