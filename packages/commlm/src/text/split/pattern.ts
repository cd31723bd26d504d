/**
 * Regular expressions of tokenizer.json: written in Oniguruma's syntax, run by the engine of JavaScript. Whatever the two
 * understand differently is rewritten; whatever cannot be rewritten exactly is refused by name, never guessed.
 *
 * A pattern is `plain` when it repeats single characters only. All others may take exponential time on an unlucky text.
 */
import { CommError } from '../../config/errors.js';

/** A pattern that can run. */
export interface Pattern {
  readonly regex: RegExp;
  /** Repeats single characters only, and few of them in a row: a short text cannot make it slow. */
  readonly plain: boolean;
}

/** Start and end of a match, in UTF-16 units. */
export type Span = readonly [start: number, end: number];

/** A piece of the rewritten pattern. */
interface Piece {
  readonly js: string;
  /** Matches one character, so that repeating it cannot explode. */
  readonly single: boolean;
}

/** In Oniguruma a word character is a letter, a mark, a decimal digit or a connector; outside of brackets a few more. */
const WORD_IN_CLASS = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}`;
const WORD = String.raw`[${WORD_IN_CLASS}\u{B2}\u{B3}\u{B9}\u{BC}-\u{BE}]`;
const ANY = String.raw`[\s\S]`;
const AT_START = `(?<!${ANY})`;
const AT_END = `(?!${ANY})`;

/** Escapes that stand for a set, as the inside of a class; `W` and `H` are complements. */
const SETS: Readonly<Record<string, string>> = {
  d: String.raw`\p{Nd}`,
  s: String.raw`\p{White_Space}`,
  w: WORD_IN_CLASS,
  h: '0-9A-Fa-f',
};
const CONTROLS: Readonly<Record<string, string>> = {
  t: '\t',
  n: '\n',
  r: '\r',
  f: '\f',
  v: '\v',
  a: '\x07',
  e: '\x1b',
};
const ANCHORS: Readonly<Record<string, string>> = {
  A: AT_START,
  z: AT_END,
  Z: String.raw`(?=\n?${AT_END})`,
  b: `(?:(?<!${WORD})(?=${WORD})|(?<=${WORD})(?!${WORD}))`,
  B: `(?:(?<!${WORD})(?!${WORD})|(?<=${WORD})(?=${WORD}))`,
};
const POSIX: Readonly<Record<string, string>> = {
  alpha: String.raw`\p{Alphabetic}`,
  alnum: String.raw`\p{Alphabetic}\p{Nd}`,
  digit: String.raw`\p{Nd}`,
  lower: String.raw`\p{Lowercase}`,
  upper: String.raw`\p{Uppercase}`,
  space: String.raw`\p{White_Space}`,
  blank: String.raw`\t\p{Zs}`,
  punct: String.raw`\p{P}\p{S}`,
  cntrl: String.raw`\p{Cc}`,
  word: WORD_IN_CLASS,
  xdigit: '0-9A-Fa-f',
};
/** Names that are neither a general category nor a script; `Punct` is the category here, unlike `[:punct:]`. */
const PROPERTIES: Readonly<Record<string, string>> = {
  alphabetic: 'Alphabetic',
  alpha: 'Alphabetic',
  digit: 'Nd',
  lowercase: 'Lowercase',
  lower: 'Lowercase',
  uppercase: 'Uppercase',
  upper: 'Uppercase',
  whitespace: 'White_Space',
  space: 'White_Space',
  punct: 'P',
};
/** Letters that match more than their other case: the long s, and the Kelvin sign. */
const EXTRA_FOLDS: Readonly<Record<string, string>> = { s: '\u017f', k: '\u212a' };
/** Pairs of letters that match one character (such as the sharp s) where case does not count. */
const FOLDED_PAIR = /ss|ff|fi|fl|st/i;
/** Two repetitions in a row need quadratic time on a text of one letter, three cubic; each choice of length doubles it. */
const MAX_REPETITIONS = 2;
const MAX_CHOICES = 4;
const MAX_DEPTH = 100;
const MAX_LENGTH = 20_000;
const MAX_COUNT = 1000;

/** Rewrites and compiles. @throws CommError `text/pattern` */
export function compilePattern(source: string): Pattern {
  return new PatternReader(source).compile();
}

/** A pattern that finds exactly this text. */
export function literalPattern(text: string): Pattern {
  return { regex: new RegExp([...text].map(literal).join(''), 'gv'), plain: true };
}

/** All matches from left to right; none that is empty right behind another one, or within a character. */
export function* matchesOf({ regex }: Pattern, text: string): Generator<Span> {
  let last = -1;
  for (const match of text.matchAll(regex)) {
    const end = match.index + match[0].length;
    if (match[0] === '' && (match.index === last || isInsidePair(text, match.index))) continue;
    last = end;
    yield [match.index, end];
  }
}

/** The engine finds empty matches between the halves of one character, too. */
function isInsidePair(text: string, at: number): boolean {
  return at > 0 && at < text.length && text.codePointAt(at - 1) !== text.charCodeAt(at - 1);
}

function literal(char: string): string {
  return /^[A-Za-z0-9]$/.test(char) ? char : String.raw`\u{${(char.codePointAt(0) as number).toString(16)}}`;
}

/** Reads a pattern from left to right. */
class PatternReader {
  readonly #source: string;
  readonly #chars: readonly string[];
  #at = 0;
  #groups = 0;
  #depth = 0;
  #foldCase = false;
  #behind = false;
  #nested = false;
  /** Repetitions without end, and with one, of the alternative that is read. */
  #repetitions = 0;
  #choices = 0;
  #explodes = false;

  constructor(source: string) {
    this.#source = source;
    this.#chars = [...source];
    if (source.length > MAX_LENGTH) this.#refuse(`has more than ${MAX_LENGTH} characters`);
  }

  compile(): Pattern {
    if (this.#take('(?i)')) this.#foldCase = true;
    const js = this.#alternatives();
    if (this.#at < this.#chars.length) this.#refuse('has a ) too many');
    try {
      return { regex: new RegExp(js, 'gv'), plain: !this.#nested && !this.#explodes };
    } catch (cause) {
      return this.#refuse('cannot be rewritten for this engine', cause);
    }
  }

  #refuse(why: string, cause?: unknown): never {
    const shown = this.#source.length > 60 ? `${this.#source.slice(0, 60)}...` : this.#source;
    throw new CommError(`The pattern ${shown} of tokenizer.json ${why}.`, {
      code: 'text/pattern',
      fix: 'Use a model whose tokenizer has another pattern.',
      cause,
    });
  }

  #take(text: string): boolean {
    const chars = [...text];
    if (!chars.every((char, i) => this.#chars[this.#at + i] === char)) return false;
    this.#at += chars.length;
    return true;
  }

  #next(): string {
    return this.#chars[this.#at++] ?? this.#refuse('ends too early');
  }

  #alternatives(): string {
    if (++this.#depth > MAX_DEPTH) this.#refuse('is nested too deeply');
    const [repetitions, choices] = [this.#repetitions, this.#choices];
    let [mostRepetitions, mostChoices] = [repetitions, choices];
    const alternatives: string[] = [];
    do {
      [this.#repetitions, this.#choices] = [repetitions, choices];
      alternatives.push(this.#sequence());
      mostRepetitions = Math.max(mostRepetitions, this.#repetitions);
      mostChoices = Math.max(mostChoices, this.#choices);
    } while (this.#take('|'));
    [this.#repetitions, this.#choices] = [mostRepetitions, mostChoices];
    this.#explodes ||= mostRepetitions > MAX_REPETITIONS || mostChoices > MAX_CHOICES;
    this.#depth--;
    return alternatives.join('|');
  }

  #sequence(): string {
    let js = '';
    let folded = '';
    for (let char = this.#chars[this.#at]; char !== undefined && char !== '|' && char !== ')'; ) {
      const start = this.#at;
      const atom = this.#atom();
      if (this.#foldCase) {
        // Characters in a row that a single one of another case would match as well.
        folded = this.#at - start === 1 ? folded + char : '';
        if (FOLDED_PAIR.test(folded)) this.#refuse('has letters that may be one character without regard to case');
      }
      js += this.#repeated(atom);
      char = this.#chars[this.#at];
    }
    return js;
  }

  #repeated(atom: Piece): string {
    let { js, single } = atom;
    for (;;) {
      const quantifier = this.#quantifier();
      if (quantifier === undefined) return js;
      if (js === '') this.#refuse('repeats nothing');
      const { text, unbounded, possessive } = quantifier;
      if (unbounded) {
        if (!single) this.#nested = true;
        this.#repetitions++;
      } else {
        if (/[?,]/.test(text)) this.#choices++;
        if (!single && text !== '?' && text !== '??') this.#nested = true;
      }
      js = `(?:${js})${text}`;
      if (possessive) js = this.#atomic(js);
      single = false;
    }
  }

  #quantifier(): { text: string; unbounded: boolean; possessive: boolean } | undefined {
    const char = this.#chars[this.#at];
    if (char === '*' || char === '+' || char === '?') {
      this.#at++;
      const possessive = this.#take('+');
      const lazy = !possessive && this.#take('?');
      return { text: char + (lazy ? '?' : ''), unbounded: char !== '?', possessive };
    }
    if (char !== '{') return undefined;
    const found = /^\{(\d*)(,?)(\d*)\}/.exec(this.#chars.slice(this.#at, this.#at + 16).join(''));
    if (found === null || (found[1] === '' && found[3] === '')) return undefined;
    const [whole, low = '', comma = '', high = ''] = found;
    if (Number(low) > MAX_COUNT || Number(high) > MAX_COUNT || (high !== '' && Number(high) < Number(low)))
      this.#refuse(`repeats ${whole} times`);
    this.#at += whole.length;
    const lazy = this.#take('?');
    if (lazy && comma === '') this.#refuse(`has ${whole}?, which engines read differently`);
    const text = `{${low === '' ? '0' : low}${comma}${high}}${lazy ? '?' : ''}`;
    return { text, unbounded: comma !== '' && high === '', possessive: false };
  }

  /** What is matched is never given up again: a look ahead keeps it, and it is taken as it was. */
  #atomic(js: string): string {
    if (this.#behind) this.#refuse('looks behind for something that is not given up again');
    const name = `a${this.#groups++}`;
    this.#nested = true;
    return `(?:(?=(?<${name}>${js}))\\k<${name}>)`;
  }

  #atom(): Piece {
    const char = this.#next();
    switch (char) {
      case '(':
        return { js: this.#group(), single: false };
      case '[':
        return { js: this.#class(), single: true };
      case '\\':
        return this.#escape();
      case '.':
        return { js: String.raw`[^\n]`, single: true };
      case '^':
        return { js: String.raw`(?:${AT_START}|(?<=\n)(?=${ANY}))`, single: false };
      case '$':
        return { js: String.raw`(?=\n|${AT_END})`, single: false };
      case '*':
      case '+':
      case '?':
        return this.#refuse('repeats nothing');
      default:
        return { js: this.#literal(char), single: true };
    }
  }

  #literal(char: string): string {
    return this.#foldCase ? `[${this.#folds(char).map(literal).join('')}]` : literal(char);
  }

  /** A character with those that match it without regard to case. */
  #folds(char: string): string[] {
    if (char.charCodeAt(0) > 0x7f) this.#refuse(`has ${char} where case does not count`);
    const lower = char.toLowerCase();
    return [...new Set([char, lower, char.toUpperCase(), ...(EXTRA_FOLDS[lower] ?? '')])];
  }

  #group(): string {
    if (this.#take('?#')) {
      while (this.#next() !== ')');
      return '';
    }
    const [fold, behind] = [this.#foldCase, this.#behind];
    let open = '(?:';
    let atomic = false;
    if (this.#take('?')) {
      if (this.#take(':')) open = '(?:';
      else if (this.#take('=')) open = '(?=';
      else if (this.#take('!')) open = '(?!';
      else if (this.#take('<=')) open = '(?<=';
      else if (this.#take('<!')) open = '(?<!';
      else if (this.#take('>')) atomic = true;
      else if (this.#take('i:')) this.#foldCase = true;
      else if (this.#take('-i:')) this.#foldCase = false;
      else if (this.#take('<')) while (this.#next() !== '>');
      else this.#refuse(`has a group (?${this.#chars[this.#at] ?? ''}, which is not supported`);
    }
    if (open.startsWith('(?<')) this.#behind = true;
    const inside = this.#alternatives();
    if (!this.#take(')')) this.#refuse('has a ( without its )');
    [this.#foldCase, this.#behind] = [fold, behind];
    return atomic ? this.#atomic(`(?:${inside})`) : `${open}${inside})`;
  }

  #escape(): Piece {
    const char = this.#next();
    const anchor = ANCHORS[char];
    if (anchor !== undefined) return { js: anchor, single: false };
    if (char === 'w' || char === 'W') return { js: char === 'w' ? WORD : `[^${WORD.slice(1)}`, single: true };
    const set = this.#set(char);
    if (set !== undefined) return { js: `[${set}]`, single: true };
    return { js: this.#literal(this.#escaped(char)), single: true };
  }

  /** The inside of a class for an escape that stands for a set of characters. */
  #set(char: string): string | undefined {
    const set = SETS[char.toLowerCase()];
    if (set !== undefined) return char === char.toLowerCase() ? set : `[^${set}]`;
    return char === 'p' || char === 'P' ? this.#property(char === 'P') : undefined;
  }

  #property(complement: boolean): string {
    if (!this.#take('{')) return this.#refuse('has a \\p without {');
    const negated = this.#take('^') !== complement;
    let name = '';
    for (let char = this.#next(); char !== '}'; char = this.#next()) name += char;
    const known = PROPERTIES[name.toLowerCase().replace(/[ _-]/g, '')];
    for (const property of [...(known === undefined ? [] : [known]), name, `Script=${name}`]) {
      if (!/^[A-Za-z_]+(?:=[A-Za-z_]+)?$/.test(property)) continue;
      const js = `\\${negated ? 'P' : 'p'}{${property}}`;
      if (compiles(js)) return js;
    }
    return this.#refuse(`has the property ${name}, which is not known here`);
  }

  /** The character that an escape stands for. */
  #escaped(char: string): string {
    if (char === 'x' || char === 'u') return this.#hexadecimal(char);
    const control = CONTROLS[char];
    if (control !== undefined) return control;
    if (/^[A-Za-z0-9]$/.test(char)) this.#refuse(`has \\${char}, which is not supported`);
    return char;
  }

  #hexadecimal(kind: 'x' | 'u'): string {
    const rest = this.#chars.slice(this.#at, this.#at + 12).join('');
    const found = (kind === 'x' ? /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))/ : /^(?:([0-9A-Fa-f]{4}))/).exec(rest);
    const code = Number.parseInt(found?.[1] ?? found?.[2] ?? '', 16);
    // Below 0x80 a byte is a character; above it would be a byte of UTF-8.
    if (found === null || code > 0x10ffff || (found[2] !== undefined && code > 0x7f))
      return this.#refuse(`has a \\${kind} that is no character`);
    this.#at += found[0].length;
    return String.fromCodePoint(code);
  }

  /** A class behind its `[`, as one of JavaScript with sets in it. */
  #class(): string {
    if (++this.#depth > MAX_DEPTH) this.#refuse('is nested too deeply');
    const negated = this.#take('^');
    const operands: string[][] = [[]];
    for (let first = true; ; first = false) {
      const items = operands.at(-1) as string[];
      if (this.#take('&&')) {
        operands.push([]);
        continue;
      }
      const char = this.#next();
      if (char === ']' && !first) break;
      if (char === '[') items.push(this.#posix() ?? this.#class());
      else items.push(this.#classItem(char));
    }
    if (operands.some((items) => items.length === 0)) this.#refuse('has a class with nothing in it');
    this.#depth--;
    const inside = operands.map((items) => (operands.length === 1 ? items.join('') : `[${items.join('')}]`)).join('&&');
    return `[${negated ? '^' : ''}${inside}]`;
  }

  #posix(): string | undefined {
    if (!this.#take(':')) return undefined;
    const negated = this.#take('^');
    let name = '';
    for (let char = this.#next(); char !== ':'; char = this.#next()) name += char;
    const set = POSIX[name];
    if (set === undefined || !this.#take(']'))
      return this.#refuse(`has the class [:${name}:], which is not known here`);
    return negated ? `[^${set}]` : `[${set}]`;
  }

  /** A character, a range or a set within a class. */
  #classItem(char: string): string {
    let from = char;
    if (char === '\\') {
      const escaped = this.#next();
      const set = this.#set(escaped);
      if (set === undefined) from = this.#escaped(escaped);
      else if (this.#chars[this.#at] === '-' && this.#chars[this.#at + 1] !== ']') this.#refuse('has a set in a range');
      else return set;
    }
    if (this.#chars[this.#at] !== '-' || this.#chars[this.#at + 1] === ']') return this.#classRange(from, from);
    this.#at++;
    const end = this.#next();
    if (end === '[' || (end === '\\' && this.#isSet(this.#chars[this.#at]))) this.#refuse('has a set in a range');
    return this.#classRange(from, end === '\\' ? this.#escaped(this.#next()) : end);
  }

  #isSet(char: string | undefined): boolean {
    return char !== undefined && (char.toLowerCase() in SETS || char === 'p' || char === 'P');
  }

  #classRange(from: string, to: string): string {
    const [low, high] = [from.codePointAt(0) as number, to.codePointAt(0) as number];
    if (low > high) this.#refuse('has a range that ends before it begins');
    const range = low === high ? literal(from) : `${literal(from)}-${literal(to)}`;
    if (!this.#foldCase) return range;
    if (high > 0x7f) this.#refuse('has a class where case does not count');
    const chars = Array.from({ length: high - low + 1 }, (_, i) => String.fromCodePoint(low + i));
    return [...new Set(chars.flatMap((char) => this.#folds(char)))].map(literal).join('');
  }
}

function compiles(source: string): boolean {
  try {
    new RegExp(source, 'v');
    return true;
  } catch {
    return false;
  }
}
