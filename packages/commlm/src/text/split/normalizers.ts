/** The normalisers of tokenizer.json, with the results of the reference's: a text becomes another text before it is split. */
import { CommError } from '../../config/errors.js';
import { toByteLetters } from '../byte-letters.js';
import { field, patternOf, readSteps, refuseKind, type Step } from './json-step.js';
import { matchesOf, type Pattern } from './pattern.js';

/** What a tokenizer does to a text before it is split. */
export interface Normalizer {
  normalize(text: string): string;
  /** Patterns that it runs. */
  readonly patterns: readonly Pattern[];
}

type Rule = (text: string) => string;

/** The normaliser of a tokenizer.json. @throws CommError for a kind that is not known */
export function readNormalizer(value: unknown): Normalizer {
  const patterns: Pattern[] = [];
  const rules = readSteps(value, 'normalizer', 'normalizers').map((step) => readRule(step, patterns));
  const normalize = (text: string): string => {
    const limit = MOST_GROWTH * (text.length + SHORT_TEXT);
    return rules.reduce((out, rule) => bounded(rule(out), limit), text);
  };
  return { normalize, patterns };
}

/** How much longer a text may become: replacements that repeat it, one behind another, would fill the memory. */
const MOST_GROWTH = 100;
const SHORT_TEXT = 1000;

function bounded(text: string, limit: number): string {
  if (text.length <= limit) return text;
  throw new CommError(`The normaliser of tokenizer.json makes a text longer than ${limit} characters.`, {
    code: 'text/growth',
    fix: 'Use a model whose tokenizer does not repeat its text.',
  });
}

function readRule(step: Step, patterns: Pattern[]): Rule {
  switch (step.type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(step.type);
    case 'Nmt':
      return cleanAsNmt;
    case 'Lowercase':
      return lowercase;
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'ByteLevel':
      return toByteLetters;
    case 'Prepend': {
      const prefix = field(step, 'prepend', 'string');
      return (text) => (text === '' ? '' : prefix + text);
    }
    case 'Strip': {
      const [left, right] = [field(step, 'strip_left', 'boolean'), field(step, 'strip_right', 'boolean')];
      return (text) => stripRight(left ? stripLeft(text) : text, right);
    }
    case 'Replace': {
      const [pattern, content] = [patternOf(step), field(step, 'content', 'string')];
      patterns.push(pattern);
      return (text) => replaceAll(text, pattern, content);
    }
    case 'BertNormalizer':
      return readBert(step);
    default:
      return refuseKind(`the normaliser ${step.type}`);
  }
}

/** White space at the start of a text, in UTF-16 units; white space is what Unicode calls so. */
export const leadingSpace = (text: string): number => /^\p{White_Space}*/u.exec(text)?.[0].length ?? 0;

/** Where the white space at the end of a text begins. */
export function trailingSpace(text: string): number {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1] as string)) end--;
  return end;
}

const stripLeft = (text: string): string => text.slice(leadingSpace(text));

const stripRight = (text: string, wanted: boolean): string => (wanted ? text.slice(0, trailingSpace(text)) : text);

/** Letter by letter: the reference has no rule for a sigma at the end of a word. */
function lowercase(text: string): string {
  let out = '';
  for (const char of text) out += char.toLowerCase();
  return out;
}

function replaceAll(text: string, pattern: Pattern, content: string): string {
  if (text === '') return '';
  let out = '';
  let at = 0;
  for (const [start, end] of matchesOf(pattern, text)) {
    out += text.slice(at, start) + content;
    at = end;
  }
  return out + text.slice(at);
}

/** Controls go, white space and fillers become a space: the rule of the first neural translators of that name. */
function cleanAsNmt(text: string): string {
  let out = '';
  for (const char of text) {
    if (!NMT_DROPS.has(char.charCodeAt(0))) out += char;
  }
  return out.replace(/[\t\n\f\r\u{1680}\u{200b}-\u{200f}\u{2028}\u{2029}\u{2581}\u{feff}\u{fffd}]/gu, ' ');
}

/** Controls but for NUL and those that are white space. */
const NMT_DROPS = new Set([
  ...Array.from({ length: 0x1f }, (_, i) => i + 1).filter((code) => ![9, 10, 12, 13].includes(code)),
  ...[0x7f, 0x8f, 0x9f],
]);

const CHINESE =
  /[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b820}-\u{2ceaf}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]/gu;

function readBert(step: Step): Rule {
  const lower = field(step, 'lowercase', 'boolean');
  const rules: Rule[] = [];
  if (field(step, 'clean_text', 'boolean')) rules.push(cleanAsBert);
  if (field(step, 'handle_chinese_chars', 'boolean')) rules.push((text) => text.replace(CHINESE, ' $& '));
  if (field(step, 'strip_accents', 'boolean', lower))
    rules.push((text) => text.normalize('NFD').replace(/\p{Mn}/gu, ''));
  if (lower) rules.push(lowercase);
  return (text) => rules.reduce((out, rule) => rule(out), text);
}

function cleanAsBert(text: string): string {
  return text.replace(/(?![\t\n\r])[\u{fffd}\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, '').replace(/\p{White_Space}/gu, ' ');
}
