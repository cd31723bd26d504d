/**
 * Cuts the source of a template into text, tags and the tokens within tags, with the settings of the reference: the line
 * break behind a block tag goes, and so does the white space before one at the start of a line.
 */
import { fault } from './faults.js';
import { PYTHON_SPACE } from './python-text.js';

/** A token; `text` stands for text to print, the others for what is within tags. */
export interface Token {
  readonly kind:
    | 'text'
    | 'print'
    | 'endPrint'
    | 'block'
    | 'endBlock'
    | 'name'
    | 'string'
    | 'integer'
    | 'float'
    | 'operator'
    | 'end';
  readonly value: string;
  readonly line: number;
}

type TagKind = 'print' | 'block' | 'comment';

const OPENINGS: Readonly<Record<string, TagKind>> = { '{{': 'print', '{%': 'block', '{#': 'comment' };
const SPACE = `[${PYTHON_SPACE}]`;
const RAW = new RegExp(`\\{%[-+]?${SPACE}*raw${SPACE}*(?:-%\\}${SPACE}*|%\\})`, 'uy');
const END_RAW = new RegExp(`\\{%([-+]?)${SPACE}*endraw${SPACE}*(?:\\+%\\}|-%\\}${SPACE}*|%\\}\\n?)`, 'u');
const END_COMMENT = new RegExp(`\\+#\\}|-#\\}${SPACE}*|#\\}\\n?`, 'u');
const END_BLOCK = new RegExp(`\\+%\\}|-%\\}${SPACE}*|%\\}\\n?`, 'uy');
const END_PRINT = new RegExp(`-\\}\\}${SPACE}*|\\}\\}`, 'uy');
const SPACES = new RegExp(`${SPACE}+`, 'uy');
const END_SPACES = new RegExp(`${SPACE}+$`, 'u');
const ONLY_SPACES = new RegExp(`^${SPACE}+$`, 'u');
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iuy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iuy;
const NAME = /[\p{XID_Start}_]\p{XID_Continue}*/uy;
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/uy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/uy;
const CLOSERS: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** Tokens of a template. @throws TemplateFault */
export function tokenize(source: string): Token[] {
  return new Lexer(source).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #lineAt = 0;

  constructor(source: string) {
    const lines = source.split(/\r\n|\r|\n/);
    if (lines.at(-1) === '') lines.pop();
    this.#source = lines.join('\n');
  }

  run(): Token[] {
    let trimLeft = true;
    while (this.#at < this.#source.length) trimLeft = this.#next(trimLeft);
    this.#push('end', '');
    return this.#tokens;
  }

  /** Reads text and the tag behind it; tells whether the next text begins a line. */
  #next(startsLine: boolean): boolean {
    const open = this.#findOpening();
    const text = this.#source.slice(this.#at, open);
    if (open === this.#source.length) {
      this.#pushText(text);
      this.#at = open;
      return false;
    }
    const kind = OPENINGS[this.#source.slice(open, open + 2)]!;
    const raw = kind === 'block' ? matchAt(RAW, this.#source, open) : undefined;
    const sign = this.#source[open + 2];
    this.#pushText(trimBefore(text, sign, kind !== 'print', startsLine));
    this.#at = open;
    if (raw !== undefined) return this.#raw(raw);
    this.#at += sign === '-' || sign === '+' ? 3 : 2;
    return kind === 'comment' ? this.#comment() : this.#tag(kind, open);
  }

  #findOpening(): number {
    const found = /\{[{%#]/g;
    found.lastIndex = this.#at;
    return found.exec(this.#source)?.index ?? this.#source.length;
  }

  #pushText(text: string): void {
    if (text !== '') this.#push('text', text);
  }

  #push(kind: Token['kind'], value: string): void {
    for (; this.#lineAt < this.#at; this.#lineAt++) if (this.#source[this.#lineAt] === '\n') this.#line++;
    this.#tokens.push({ kind, value, line: this.#line });
  }

  #fail(why: string): never {
    return fault(`line ${this.#line}: ${why}`);
  }

  #raw(opening: string): boolean {
    const start = this.#at + opening.length;
    const end = END_RAW.exec(this.#source.slice(start));
    if (end === null) return this.#fail('{% raw %} has no {% endraw %}');
    const text = this.#source.slice(start, start + end.index);
    this.#at = start + end.index + end[0].length;
    this.#pushText(trimBefore(text, end[1], true, opening.endsWith('\n')));
    return end[0].endsWith('\n');
  }

  #comment(): boolean {
    const end = END_COMMENT.exec(this.#source.slice(this.#at));
    if (end === null) return this.#fail('a comment has no end');
    this.#at += end.index + end[0].length;
    return end[0].endsWith('\n');
  }

  #tag(kind: 'print' | 'block', open: number): boolean {
    this.#push(kind, this.#source.slice(open, this.#at));
    const [ending, endKind] =
      kind === 'print' ? ([END_PRINT, 'endPrint'] as const) : ([END_BLOCK, 'endBlock'] as const);
    const expected: string[] = [];
    while (this.#at < this.#source.length) {
      const end = expected.length === 0 ? matchAt(ending, this.#source, this.#at) : undefined;
      if (end !== undefined) {
        this.#at += end.length;
        this.#push(endKind, end);
        return end.endsWith('\n');
      }
      this.#token(expected);
    }
    return this.#fail('a tag has no end');
  }

  #token(expected: string[]): void {
    const take = (kind: Token['kind'] | undefined, pattern: RegExp): boolean => {
      const found = matchAt(pattern, this.#source, this.#at);
      if (found === undefined) return false;
      if (kind !== undefined) this.#push(kind, found);
      if (kind === 'operator') this.#balance(found, expected);
      this.#at += found.length;
      return true;
    };
    const taken =
      take(undefined, SPACES) ||
      take('float', FLOAT) ||
      take('integer', INTEGER) ||
      take('name', NAME) ||
      take('string', STRING) ||
      take('operator', OPERATOR);
    if (!taken) this.#fail(`unexpected ${JSON.stringify(this.#source[this.#at])}`);
  }

  #balance(operator: string, expected: string[]): void {
    const closer = CLOSERS[operator];
    if (closer !== undefined) expected.push(closer);
    else if (')]}'.includes(operator) && expected.pop() !== operator) this.#fail(`unexpected ${operator}`);
  }
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** The text before a tag: `-` takes all white space off its end, a block at the start of a line its indentation. */
function trimBefore(text: string, sign: string | undefined, isBlock: boolean, startsLine: boolean): string {
  if (sign === '-') return text.replace(END_SPACES, '');
  if (sign === '+' || !isBlock) return text;
  const line = text.lastIndexOf('\n') + 1;
  return (line > 0 || startsLine) && ONLY_SPACES.test(text.slice(line)) ? text.slice(0, line) : text;
}
