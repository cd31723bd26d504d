/** What is wrong with a value that was written by hand, told by its first wrong field, with the nearest name or word. */
import type { z } from 'zod';
import { CommError } from './errors.js';
import { nearestName } from './json.js';
import { choicesAt, fieldsAt } from './schema-fields.js';

const wrong = (message: string, fix: string): CommError =>
  new CommError(message, { code: 'train/set', fix, exitCode: 2 });

/**
 * Checks `value` against `schema`, and leaves it as it is.
 *
 * @param what what it is called at the start of a sentence: "The recipe", or its file
 * @throws CommError that names the first field which is not as it should be
 */
export function checkFields<T>(schema: z.ZodType<T>, value: unknown, what: string): asserts value is T {
  const issue = schema.safeParse(value).error?.issues[0];
  if (issue === undefined) return;
  const found = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') throw unknownField(schema, [...path, issue.keys[0]!], value, what);
  const field = path.length === 0 ? what : `"${path.join('.')}"${what === 'The recipe' ? '' : ` of ${what}`}`;
  if (found === undefined) {
    throw wrong(
      `${field} is missing.`,
      `Give it ${issue.code === 'invalid_type' ? article(issue.expected) : 'a value'}.`,
    );
  }
  if (issue.code === 'invalid_type') {
    throw wrong(
      `${field} takes ${article(issue.expected)}, not ${JSON.stringify(found)}.`,
      'Give a value of that type.',
    );
  }
  const choices = choicesAt(schema, issue.path, value);
  const near = nearestName(String(found), choices);
  const known = choices.length > 0 ? `Choose one of ${choices.join(', ')}.` : 'Give a value in that range.';
  throw wrong(
    `${field} is not valid: ${reasonOf(issue, choices)}.`,
    near === undefined ? known : `Did you mean "${near}"?`,
  );
}

const article = (type: string): string => `${/^[aio]/.test(type) ? 'an' : 'a'} ${type}`;

/** The error of a field that `schema` does not know, with the name nearest to it of those that it does. */
export function unknownField(schema: z.ZodType, path: readonly string[], value: unknown, what: string): CommError {
  const key = path.at(-1)!;
  const names = fieldsAt(schema, path.slice(0, -1), value);
  const near = nearestName(key, names);
  const known = names.length > 0 ? `It knows ${names.join(', ')} there.` : 'Leave it out.';
  return wrong(`${what} has no "${path.join('.')}".`, near === undefined ? known : `Did you mean "${near}"?`);
}

/** What is wrong with a field that takes one of `choices`, if any; of a union what is wrong with each way to mean it. */
function reasonOf(issue: z.core.$ZodIssue, choices: readonly string[]): string {
  // A union that says nothing of its own says "Invalid input".
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input') return issue.message;
  if (issue.errors.length === 0) return `expected one of ${choices.map((choice) => `"${choice}"`).join(', ')}`;
  return [...new Set(issue.errors.flatMap(([first]) => (first === undefined ? [] : reasonOf(first, choices))))].join(
    ', or ',
  );
}
