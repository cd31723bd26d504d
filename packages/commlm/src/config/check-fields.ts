/** What is wrong with a value that was written by hand, told by its first wrong field, with the nearest name or word. */
import type { z } from 'zod';
import { CommError } from './errors.js';
import { nearestName } from './json.js';
import { choicesAt, fieldsAt } from './schema-fields.js';

/** Code of an error about a recipe. */
const RECIPE_CODE = 'train/set';

/**
 * Checks `value` against `schema`, and leaves it as it is. A field that is not known is told before one that is missing, as the
 * one is mostly the other, misspelt.
 *
 * @param what what it is called at the start of a sentence: "The recipe", or its file
 * @param code code of the error
 * @throws CommError that names the first field which is not as it should be
 */
export function checkFields<T>(
  schema: z.ZodType<T>,
  value: unknown,
  what: string,
  code: string = RECIPE_CODE,
): asserts value is T {
  const issues = schema.safeParse(value).error?.issues ?? [];
  const issue = issues.find((each) => each.code === 'unrecognized_keys') ?? issues[0];
  if (issue === undefined) return;
  const wrong = (message: string, fix: string): CommError => new CommError(message, { code, fix, exitCode: 2 });
  const found = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    throw unknownField(schema, [...path, issue.keys[0]!], value, what, code);
  }
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
export function unknownField(
  schema: z.ZodType,
  path: readonly string[],
  value: unknown,
  what: string,
  code: string = RECIPE_CODE,
): CommError {
  const key = path.at(-1)!;
  const names = fieldsAt(schema, path.slice(0, -1), value);
  const near = nearestName(key, names);
  const known = names.length > 0 ? `It knows ${names.join(', ')} there.` : 'Leave it out.';
  return new CommError(`${what} has a field "${path.join('.')}" that is not known.`, {
    code,
    fix: near === undefined ? known : `Did you mean "${near}"?`,
    exitCode: 2,
  });
}

const listed = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(', ');

/** What is wrong with a field that takes one of `choices`, if any; of a union what is wrong with each way to mean it. */
function reasonOf(issue: z.core.$ZodIssue, choices: readonly string[]): string {
  if (issue.code === 'invalid_value')
    return `expected ${issue.values.length > 1 ? 'one of ' : ''}${listed(issue.values)}`;
  // A union that says nothing of its own says "Invalid input".
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input') return issue.message;
  if (issue.errors.length === 0) return `expected one of ${listed(choices)}`;
  return [...new Set(issue.errors.flatMap(([first]) => (first === undefined ? [] : reasonOf(first, choices))))].join(
    ', or ',
  );
}
