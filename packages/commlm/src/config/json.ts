/** `config.json` <-> typed config by one rule: camelCase in code, snake_case on disk, and an unknown key is an error. */
import type { z } from 'zod';
import { CommError } from './errors.js';
import { fieldsAt } from './schema-fields.js';

/** `numHeads` -> `num_heads`. */
export const toSnakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** `num_heads` -> `numHeads`. */
export const toCamelCase = (name: string): string =>
  name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Number of single-character insertions, deletions and replacements that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** The name of `candidates` closest to `name`, or undefined when none shares at least half of it. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return bestDistance <= Math.max(2, name.length / 2) ? best : undefined;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const pathText = (path: readonly PropertyKey[]): string => path.map((p) => toSnakeCase(String(p))).join('.');

/** The config as it lies on disk: the same tree with snake_case keys. */
export function toJson(config: unknown): unknown {
  if (Array.isArray(config)) return config.map(toJson);
  if (!isRecord(config)) return config;
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [toSnakeCase(key), toJson(value)]));
}

function camelKeys(json: unknown, path: readonly string[], source: string): unknown {
  if (Array.isArray(json)) return json.map((item, i) => camelKeys(item, [...path, String(i)], source));
  if (!isRecord(json)) return json;
  const entries = Object.entries(json).map(([key, value]) => {
    const camel = toCamelCase(key);
    // `hiddenSize` on disk would pass unnoticed beside `hidden_size`: only one spelling is right there.
    if (toSnakeCase(camel) !== key) {
      throw new CommError(`${source} has the key '${[...path, key].join('.')}', which is not snake_case.`, {
        code: 'config/unknown-key',
        fix: `Write '${toSnakeCase(key)}' in its place.`,
      });
    }
    return [camel, camelKeys(value, [...path, key], source)] as const;
  });
  return Object.fromEntries(entries);
}

/** Checks `value` against `schema`; throws a CommError that names the field (as on disk) and, for an unknown key, the nearest known one. */
export function parseConfig<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  source = 'The config',
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const names = fieldsAt(schema, issue.path, value).map(toSnakeCase);
    const nearest = nearestName(toSnakeCase(key), names);
    throw new CommError(`${source} has the unknown key '${pathText([...issue.path, key])}'.`, {
      code: 'config/unknown-key',
      fix: nearest === undefined ? 'Remove it.' : `Did you mean '${nearest}'? Otherwise remove it.`,
    });
  }
  const where = issue.path.length === 0 ? '' : ` at '${pathText(issue.path)}'`;
  throw new CommError(`${source} is not valid${where}: ${issue.message}.`, {
    code: 'config/invalid',
    fix: `Correct ${issue.path.length === 0 ? 'it' : `'${pathText(issue.path)}'`}.`,
  });
}

/** Reads a parsed `config.json`: snake_case keys become camelCase, then the schema decides. `source` names the file in errors. */
export function fromJson<Schema extends z.ZodType>(
  schema: Schema,
  json: unknown,
  source = 'config.json',
): z.output<Schema> {
  return parseConfig(schema, camelKeys(json, [], source), source);
}
