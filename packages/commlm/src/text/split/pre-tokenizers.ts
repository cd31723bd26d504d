/** The pre-tokenizers of tokenizer.json, with the results of the reference's: a text is cut into words that merges never cross. */
import { toByteLetters } from '../byte-letters.js';
import { field, patternOf, readSteps, refuseKind, refuseTokenizer, type Step } from './json-step.js';
import { compilePattern, matchesOf, type Pattern, type Span } from './pattern.js';

/** What a tokenizer does to a text that holds no added token. */
export interface PreTokenizer {
  /** Words; `first` says that the text begins where the whole text begins. */
  split(text: string, first: boolean): string[];
  /** Patterns that it runs. */
  readonly patterns: readonly Pattern[];
}

/** One step; `first` is true of the word at the very start. An empty word in front tells that the start was dropped. */
type Rule = (word: string, first: boolean) => string[];

/** What becomes of the stretches that a rule finds. */
type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

const BEHAVIORS = new Set<string>(['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']);

const SPACE = compilePattern(String.raw`\s`);
const NUMERIC = compilePattern(String.raw`\p{N}`);
const PUNCTUATION = compilePattern(String.raw`[\p{P}$+<=>^\`|~]`);
const GPT2 = compilePattern(String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`);
// This one is not Oniguruma's: its word characters are those of Unicode's recommendation.
const WORDS: Pattern = {
  regex:
    /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
  plain: true,
};

/** The pre-tokenizer of a tokenizer.json. @throws CommError for a kind that is not known */
export function readPreTokenizer(value: unknown): PreTokenizer {
  const patterns: Pattern[] = [];
  const rules = readSteps(value, 'pre_tokenizer', 'pretokenizers').map((step) => readRule(step, patterns));
  return { split: (text, first) => applyAll(rules, text, first), patterns };
}

function applyAll(rules: readonly Rule[], text: string, first: boolean): string[] {
  let words = text === '' ? [] : [text];
  let atStart = first;
  for (const rule of rules) {
    const cut = words.flatMap((word, i) => rule(word, atStart && i === 0));
    if (cut[0] === '') atStart = false;
    words = cut.filter((word) => word !== '');
  }
  return words;
}

function readRule(step: Step, patterns: Pattern[]): Rule {
  switch (step.type) {
    case 'ByteLevel':
      return readByteLevel(step, patterns);
    case 'Metaspace':
      return readMetaspace(step);
    case 'Whitespace':
      return (word) => cut(word, WORDS, 'Removed', true);
    case 'WhitespaceSplit':
      return (word) => cut(word, SPACE, 'Removed');
    case 'BertPreTokenizer':
      return (word) => cut(word, SPACE, 'Removed').flatMap((piece) => cut(piece, PUNCTUATION, 'Isolated'));
    case 'Punctuation': {
      const behavior = readBehavior(step, 'Isolated');
      return (word) => cut(word, PUNCTUATION, behavior);
    }
    case 'Digits': {
      const behavior = field(step, 'individual_digits', 'boolean') ? 'Isolated' : 'Contiguous';
      return (word) => cut(word, NUMERIC, behavior);
    }
    case 'CharDelimiterSplit': {
      const delimiter = field(step, 'delimiter', 'string');
      if ([...delimiter].length !== 1) refuseTokenizer('has a CharDelimiterSplit whose delimiter is no character');
      return (word) => word.split(delimiter);
    }
    case 'FixedLength': {
      const length = field(step, 'length', 'number', 5);
      if (!Number.isSafeInteger(length) || length < 1) refuseTokenizer(`has a FixedLength of ${length}`);
      return (word) => chunks([...word], length);
    }
    case 'Split': {
      const [pattern, invert] = [patternOf(step), field(step, 'invert', 'boolean')];
      const behavior = readBehavior(step);
      patterns.push(pattern);
      return (word) => cut(word, pattern, behavior, invert);
    }
    default:
      return refuseKind(`the pre-tokenizer ${step.type}`);
  }
}

function readBehavior(step: Step, fallback?: Behavior): Behavior {
  const behavior = field(step, 'behavior', 'string', fallback);
  if (!BEHAVIORS.has(behavior)) refuseTokenizer(`has a ${step.type} of the behaviour ${behavior}`);
  return behavior as Behavior;
}

/** Bytes as letters, behind a cut into words unless another step did that already. */
function readByteLevel(step: Step, patterns: Pattern[]): Rule {
  const prefix = field(step, 'add_prefix_space', 'boolean');
  const split = field(step, 'use_regex', 'boolean', true);
  field(step, 'trim_offsets', 'boolean');
  if (split) patterns.push(GPT2);
  return (word) => {
    const text = prefix && !word.startsWith(' ') ? ` ${word}` : word;
    return (split ? cut(text, GPT2, 'Isolated') : [text]).map(toByteLetters);
  };
}

/** Spaces as a visible letter, one in front where the scheme says so, and a cut before each. */
function readMetaspace(step: Step): Rule {
  const letter = field(step, 'replacement', 'string');
  const scheme = field(step, 'prepend_scheme', 'string', 'always');
  if ([...letter].length !== 1) refuseTokenizer('has a Metaspace whose replacement is no character');
  if (!['always', 'first', 'never'].includes(scheme)) refuseTokenizer(`has a Metaspace with the scheme ${scheme}`);
  if (step['add_prefix_space'] === false && scheme !== 'never')
    refuseTokenizer('has a Metaspace whose add_prefix_space and prepend_scheme contradict each other');
  const splits = field(step, 'split', 'boolean', true);
  return (word, first) => {
    const text = word.replaceAll(' ', letter);
    const prepends = (scheme === 'always' || (scheme === 'first' && first)) && !text.startsWith(letter);
    const whole = prepends ? letter + text : text;
    return splits ? beforeEach(whole, letter) : [whole];
  };
}

/** Cuts before every run's first letter only if the run is one: each letter begins a word of its own. */
function beforeEach(text: string, letter: string): string[] {
  const starts = [0];
  for (let at = text.indexOf(letter, 1); at >= 0; at = text.indexOf(letter, at + letter.length)) starts.push(at);
  return starts.map((start, i) => text.slice(start, starts[i + 1]));
}

function chunks(chars: readonly string[], length: number): string[] {
  return Array.from({ length: Math.ceil(chars.length / length) }, (_, i) =>
    chars.slice(i * length, (i + 1) * length).join(''),
  );
}

interface Stretch {
  readonly span: Span;
  readonly found: boolean;
}

/** Cuts a text at what a pattern finds; with `invert` at what it does not find. */
function cut(text: string, pattern: Pattern, behavior: Behavior, invert = false): string[] {
  const all = stretches(text, pattern, invert);
  const words = arrange(all, behavior).flatMap(([start, end]) => (start < end ? [text.slice(start, end)] : []));
  const dropped =
    behavior === 'Removed' && all.some(({ span: [start, end], found }) => found && start === 0 && end > 0);
  return dropped ? ['', ...words] : words;
}

/** The whole text as stretches that are found and that are not, in turn. */
function stretches(text: string, pattern: Pattern, invert: boolean): Stretch[] {
  const all: Stretch[] = [];
  let at = 0;
  for (const [start, end] of matchesOf(pattern, text)) {
    if (at < start) all.push({ span: [at, start], found: invert });
    all.push({ span: [start, end], found: !invert });
    at = end;
  }
  if (at < text.length) all.push({ span: [at, text.length], found: invert });
  return all;
}

function arrange(all: readonly Stretch[], behavior: Behavior): Span[] {
  switch (behavior) {
    case 'Removed':
      return all.filter(({ found }) => !found).map(({ span }) => span);
    case 'Isolated':
      return all.map(({ span }) => span);
    case 'Contiguous':
      return joined(all, (stretch, before) => stretch.found === before.found);
    case 'MergedWithPrevious':
      return joined(all, (stretch, before) => stretch.found && !before.found);
    case 'MergedWithNext':
      return joinedToNext(all);
  }
}

/** Neighbours as one where the second belongs to the first. */
function joined(all: readonly Stretch[], belongs: (stretch: Stretch, before: Stretch) => boolean): Span[] {
  const spans: Span[] = [];
  all.forEach((stretch, i) => {
    const [before, last] = [all[i - 1], spans.at(-1)];
    if (before !== undefined && last !== undefined && belongs(stretch, before)) {
      spans[spans.length - 1] = [last[0], stretch.span[1]];
    } else spans.push(stretch.span);
  });
  return spans;
}

/** What is found as one with the stretch behind it, unless that is found too. */
function joinedToNext(all: readonly Stretch[]): Span[] {
  const backwards = all.map(({ span: [start, end], found }): Stretch => ({ span: [-end, -start], found })).reverse();
  const joinedBack = joined(backwards, (stretch, before) => stretch.found && !before.found);
  return joinedBack.map(([start, end]): Span => [-end, -start]).reverse();
}
