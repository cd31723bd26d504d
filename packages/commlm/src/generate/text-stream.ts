/**
 * Tokens to text while they come, and stop strings: what could become a stop string is held back until it is decided.
 */

/** Turns ids into text one at a time, giving text as soon as whole characters are there. */
export interface TokenDecoder {
  push(id: number): string;
  /** The text of what is still held, with broken characters as U+FFFD. */
  end(): string;
}

/** Collects the text of one answer, without white space around it. */
export class TextStream {
  readonly #decoder: TokenDecoder;
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;
  #text = '';

  /** @param stops - texts that end the answer; neither they nor what follows is part of it */
  constructor(decoder: TokenDecoder, stops: readonly string[] = []) {
    this.#decoder = decoder;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** The answer so far: exactly the pieces that `push` and `end` gave. */
  get text(): string {
    return this.#text;
  }

  /** True once a stop string was found. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes the next token and gives the text that is certain now, often a word, sometimes nothing. */
  push(id: number): string {
    return this.#stopped ? '' : this.#release(this.#decoder.push(id), false);
  }

  /** Ends the answer and gives the text that was held back. */
  end(): string {
    return this.#stopped ? '' : this.#release(this.#decoder.end(), true);
  }

  #release(piece: string, last: boolean): string {
    const text = this.#text === '' ? (this.#held + piece).trimStart() : this.#held + piece;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    this.#stopped = found.length > 0;
    const end = this.#stopped ? Math.min(...found) : text.length - (last ? 0 : this.#undecided(text));
    // Space at the end waits too: it is part of the answer only when more comes.
    const released = text.slice(0, end).trimEnd();
    this.#held = text.slice(released.length);
    this.#text += released;
    return released;
  }

  /** Length of the longest end of `text` that may grow into a stop string. */
  #undecided(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (stop.startsWith(text.slice(text.length - length))) longest = length;
      }
    }
    return longest;
  }
}
