/**
 * Finds added tokens in a text: from left to right the longest that begins at a place, as the reference's automaton does,
 * with its rules for words and white space.
 */
import type { AddedToken } from './added-tokens.js';
import { leadingSpace, trailingSpace } from './split/normalizers.js';

/** A stretch of a text: an added token with the white space that it takes, or the text between two. */
export interface TokenSpan {
  readonly token?: AddedToken;
  readonly start: number;
  readonly end: number;
}

interface Node {
  readonly next: Map<number, Node>;
  token?: AddedToken;
}

const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/** Finds spellings of one kind. */
export class TokenFinder {
  readonly #root: Node = { next: new Map() };

  /** @param spell - how a token is spelled in the texts that will be searched */
  constructor(tokens: Iterable<AddedToken>, spell: (token: AddedToken) => string = ({ content }) => content) {
    for (const token of tokens) {
      const spelling = spell(token);
      if (spelling === '') continue;
      let node = this.#root;
      for (let i = 0; i < spelling.length; i++) {
        const unit = spelling.charCodeAt(i);
        let next = node.next.get(unit);
        if (next === undefined) {
          next = { next: new Map() };
          node.next.set(unit, next);
        }
        node = next;
      }
      // Of two tokens with one spelling the reference keeps the first.
      node.token ??= token;
    }
  }

  /** The text in stretches, none of them empty. */
  split(text: string): TokenSpan[] {
    const spans: TokenSpan[] = [];
    let done = 0;
    for (let at = 0; at < text.length && this.#root.next.size > 0; ) {
      const found = this.#longestAt(text, at);
      if (found === undefined) {
        at++;
        continue;
      }
      const { token, length } = found;
      let [start, end] = [at, at + length];
      at = end;
      if (token.singleWord && (endsWithWord(text, start) || beginsWithWord(text, end))) continue;
      if (token.lstrip) start = Math.max(trailingSpace(text.slice(done, start)) + done, done);
      if (token.rstrip) end += leadingSpace(text.slice(end));
      if (done < start) spans.push({ start: done, end: start });
      spans.push({ token, start, end });
      done = end;
    }
    if (done < text.length) spans.push({ start: done, end: text.length });
    return spans;
  }

  #longestAt(text: string, start: number): { token: AddedToken; length: number } | undefined {
    let node: Node | undefined = this.#root;
    let found: { token: AddedToken; length: number } | undefined;
    for (let at = start; at < text.length; at++) {
      node = node.next.get(text.charCodeAt(at));
      if (node === undefined) break;
      if (node.token !== undefined) found = { token: node.token, length: at + 1 - start };
    }
    return found;
  }
}

/** Whether the character before a place belongs to a word. */
function endsWithWord(text: string, end: number): boolean {
  const low = text.charCodeAt(end - 1);
  const pair = low >= 0xdc00 && low <= 0xdfff;
  return end > 0 && WORD.test(text.slice(end - (pair ? 2 : 1), end));
}

const beginsWithWord = (text: string, start: number): boolean =>
  start < text.length && WORD.test(String.fromCodePoint(text.codePointAt(start) as number));
