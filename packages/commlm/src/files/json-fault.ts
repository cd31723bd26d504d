/** Finds where a text stops being JSON; `JSON.parse` does not always say. */

/** First fault of a text that is not JSON; lines and columns count from 1. */
export interface JsonFault {
  readonly line: number;
  readonly column: number;
  readonly problem: string;
}

class Fault extends Error {
  readonly position: number;

  constructor(position: number, problem: string) {
    super(problem);
    this.position = position;
  }
}

const BLANK = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON texts may not hold them, which is what is looked for
const TEXT = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /true|false|null/y;
/** What JavaScript and Python write for numbers that JSON does not have. */
const NO_NUMBER_WORD = /-?(?:NaN|Infinity)/y;

/** How the problem of such a word begins. */
export const NO_NUMBER = 'JSON has no number';

class Walker {
  private at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  walk(): void {
    this.value();
    this.skip(BLANK);
    if (this.at < this.text.length) throw this.fault('there is text after the end of the value');
  }

  private skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (!match) return false;
    this.at += match[0].length;
    return true;
  }

  private fault(problem: string): Fault {
    return new Fault(this.at, this.at >= this.text.length ? 'the text ends early' : problem);
  }

  private expect(char: string, where: string): void {
    this.skip(BLANK);
    if (this.text[this.at] !== char)
      throw this.fault(`expected "${char}" ${where}, found ${JSON.stringify(this.text[this.at])}`);
    this.at++;
  }

  /** Members up to `close`, separated by commas. */
  private members(close: string, member: () => void): void {
    this.at++;
    this.skip(BLANK);
    if (this.text[this.at] === close) {
      this.at++;
      return;
    }
    for (;;) {
      member();
      this.skip(BLANK);
      if (this.text[this.at] === close) {
        this.at++;
        return;
      }
      this.expect(',', 'between two members');
    }
  }

  private unexpected(char: string | undefined): string {
    NO_NUMBER_WORD.lastIndex = this.at;
    const word = NO_NUMBER_WORD.exec(this.text)?.[0];
    return word === undefined ? `unexpected ${JSON.stringify(char)}` : `${NO_NUMBER} ${word}`;
  }

  private value(): void {
    this.skip(BLANK);
    const char = this.text[this.at];
    if (char === '{') {
      this.members('}', () => {
        this.skip(BLANK);
        if (!this.skip(TEXT)) throw this.fault('expected a quoted field name');
        this.expect(':', 'after a field name');
        this.value();
      });
    } else if (char === '[') this.members(']', () => this.value());
    else if (char === '"') {
      if (!this.skip(TEXT)) throw this.fault('a text does not end, or holds a bare line end or a bad escape');
    } else if (!this.skip(NUMBER) && !this.skip(WORD)) throw this.fault(this.unexpected(char));
  }
}

/** The first fault of a text that `JSON.parse` refused. */
export function findJsonFault(text: string): JsonFault {
  let position = text.length;
  let problem = 'the text ends early';
  try {
    new Walker(text).walk();
    problem = 'the text is nested too deeply or malformed';
  } catch (error) {
    if (error instanceof Fault) ({ position, message: problem } = error);
  }
  const before = text.slice(0, position);
  return { line: before.split('\n').length, column: position - before.lastIndexOf('\n'), problem };
}
