/**
 * Options as a JavaScript caller gives them: a name that is not known is an error with the nearest known one, since an option
 * without effect may be what was to decide the result (`maxTokens` for `maxNewTokens`).
 */
import { types } from 'node:util';
import { CommError } from './errors.js';
import { nearestName } from './json.js';

/** What is wrong with a field, as the end of the sentence `<field> is ..., but it must be <this>.`; undefined when right. */
export type Check = (value: unknown) => string | undefined;

/** A check for each field of `T`: none can be forgotten. */
export type Checks<T> = Readonly<Record<keyof Required<T>, Check>>;

/** For a field that is checked where it is used. */
export const anything: Check = () => undefined;

/** How the error is called, and what an object looks like there. */
export interface CheckedAs {
  /** Start of the sentences: `The options of a model`. */
  readonly what: string;
  /** Default `options/unknown`. */
  readonly code?: string | undefined;
  /** What to give in place of something that is no object, or lacks a field. */
  readonly fix?: string | undefined;
  /** Fields that must be there. */
  readonly needed?: readonly string[] | undefined;
}

/** Throws CommError unless `given` is an object of the fields that `checks` names, each of them right or undefined. */
export function checkOptions<T extends object>(given: T, checks: Checks<T>, as: CheckedAs): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const { fix = 'Leave them out, or give an object.' } = as;
    throw wrong(`${as.what} cannot be ${typeof given === 'string' ? 'a text alone' : describe(given)}`, fix, as);
  }
  const known = Object.keys(checks);
  for (const [key, value] of Object.entries(given)) {
    if (!known.includes(key)) {
      const guess = nearestName(key, known);
      const fix = guess === undefined ? 'Leave it out.' : `Write "${guess}".`;
      const near = guess === undefined ? `known are ${known.join(', ')}` : `did you mean "${guess}"?`;
      throw wrong(`${as.what} ${has(as)} a key "${key}" that is not known (${near})`, fix, as);
    }
    const wanted = value === undefined ? undefined : checks[key as keyof T](value);
    if (wanted !== undefined) {
      throw wrong(`${key} is ${shown(value)}, but it must be ${wanted}`, `Give ${wanted}.`, as);
    }
  }
  const missing = as.needed?.find((key) => given[key as keyof T] === undefined);
  if (missing !== undefined) throw wrong(`${as.what} ${has(as)} no "${missing}"`, as.fix ?? 'Give it.', as);
}

/** The verb behind `what`, which is one thing or several. */
const has = ({ what }: CheckedAs): string => (/^The (options|settings)/.test(what) ? 'have' : 'has');

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'number' ? String(value) : describe(value);
}

const wrong = (sentence: string, fix: string, { code = 'options/unknown' }: CheckedAs): CommError =>
  new CommError(`${sentence}.`, { code, fix, exitCode: 2 });

/** What a value is, for a sentence. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'a list';
  if (types.isPromise(value)) return 'a Promise (await it first)';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return `an object (${value.constructor?.name ?? 'without a class'})`;
}
