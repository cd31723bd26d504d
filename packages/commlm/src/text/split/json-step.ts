/** Reading one step of tokenizer.json: a field is of its type or the file is refused by name. */
import { CommError } from '../../config/errors.js';
import { compilePattern, literalPattern, type Pattern } from './pattern.js';

/** A step of a tokenizer as tokenizer.json has it. */
export interface Step {
  readonly type: string;
  readonly [key: string]: unknown;
}

interface FieldTypes {
  readonly boolean: boolean;
  readonly string: string;
  readonly number: number;
}

/** @throws CommError `text/tokenizer-invalid` */
export function refuseTokenizer(why: string, cause?: unknown): never {
  throw new CommError(`tokenizer.json ${why}.`, {
    code: 'text/tokenizer-invalid',
    fix: 'Get the tokenizer.json of the model again.',
    cause,
  });
}

/** @throws CommError `text/tokenizer-type` for what may be right, and is not known here. */
export function refuseKind(what: string): never {
  throw new CommError(`Tokenizers with ${what} are not supported.`, {
    code: 'text/tokenizer-type',
    fix: 'Use a model with a BPE tokenizer of the Llama or the GPT-2 kind.',
  });
}

/** A step, or undefined for null and absent. */
export function readStep(value: unknown, place: string): Step | undefined {
  if (value === null || value === undefined) return undefined;
  const type = (value as { type?: unknown }).type;
  if (typeof value !== 'object' || typeof type !== 'string') return refuseTokenizer(`has a ${place} without a type`);
  return value as Step;
}

/** The steps of a Sequence, flattened; a single step is a list of one. */
export function readSteps(value: unknown, place: string, listName: string): Step[] {
  const step = readStep(value, place);
  if (step === undefined) return [];
  if (step.type !== 'Sequence') return [step];
  const list = step[listName];
  if (!Array.isArray(list)) return refuseTokenizer(`has a Sequence without ${listName} in its ${place}`);
  return list.flatMap((inner) => readSteps(inner ?? {}, place, listName));
}

/** A field; `fallback` stands for an absent one. */
export function field<T extends keyof FieldTypes>(
  step: Step,
  name: string,
  type: T,
  fallback?: FieldTypes[T],
): FieldTypes[T] {
  const value = step[name] ?? fallback;
  if (typeof value === type) return value as FieldTypes[T];
  return refuseTokenizer(`has a ${step.type} whose ${name} is no ${type}`);
}

/** The `pattern` of a step: a text that is meant as it is, or a regular expression. */
export function patternOf(step: Step): Pattern {
  const pattern = step['pattern'] as { String?: unknown; Regex?: unknown } | string | undefined | null;
  if (typeof pattern === 'object' && typeof pattern?.String === 'string') return literalPattern(pattern.String);
  if (typeof pattern === 'object' && typeof pattern?.Regex === 'string') return compilePattern(pattern.Regex);
  return refuseTokenizer(`has a ${step.type} without a pattern`);
}
