/** The published JSON Schemas of users' files are those of the program, and say the same as it of every recipe. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { ROOT } from '../helpers/cli.js';

const load = async <T>(...path: string[]): Promise<T> => (await import(pathToFileURL(join(ROOT, ...path)).href)) as T;
const { jsonSchemas, SCHEMA_FOLDER } = await load<{
  jsonSchemas(): Promise<ReadonlyMap<string, string>>;
  SCHEMA_FOLDER: string;
}>('tools', 'schemas.mjs');
type Recipes = Readonly<Record<string, () => Promise<{ readonly recipe: object }>>>;
const { RECIPES, ASSEMBLIES } = await load<{ RECIPES: Recipes; ASSEMBLIES: Recipes }>(
  ...['packages', 'commlm', 'dist', 'recipes', 'index.js'],
);

/** A piece of a JSON Schema, as far as its fields are looked for. */
interface Piece {
  readonly $ref?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Piece>>;
  readonly oneOf?: readonly Piece[];
  readonly anyOf?: readonly Piece[];
  readonly prefixItems?: readonly Piece[];
  readonly items?: Piece;
  readonly additionalProperties?: Piece | boolean;
  readonly $defs?: Readonly<Record<string, Piece>>;
}

/** The paths of all fields of a schema whose description editors do not find, at the field or at what it refers to. */
function undescribed(schema: Piece): { readonly numFields: number; readonly missing: readonly string[] } {
  const seen = new Set<Piece>();
  const missing: string[] = [];
  let numFields = 0;
  const refersTo = ({ $ref }: Piece): Piece | undefined => schema.$defs?.[$ref?.split('/').at(-1) ?? ''];
  const describes = (piece: Piece): boolean => {
    const target = refersTo(piece);
    return (piece.description ?? '') !== '' || (target !== undefined && describes(target));
  };
  const walk = (piece: Piece, path: string): void => {
    if (seen.has(piece)) return;
    seen.add(piece);
    for (const [name, field] of Object.entries(piece.properties ?? {})) {
      numFields++;
      if (!describes(field)) missing.push(`${path}.${name}`);
      walk(field, `${path}.${name}`);
    }
    const { additionalProperties: values } = piece;
    const inner = [refersTo(piece), piece.items, typeof values === 'object' ? values : undefined];
    const options = [piece.oneOf, piece.anyOf, piece.prefixItems].flatMap((list) => list ?? []);
    for (const next of [...inner, ...options]) if (next !== undefined) walk(next, path);
  };
  walk(schema, '');
  return { numFields, missing };
}

const published = (name: string): string => readFileSync(join(SCHEMA_FOLDER, name), 'utf8');

test('the published schemas are current: run `node tools/schemas.mjs` where they are not', async () => {
  const schemas = await jsonSchemas();
  assert.deepEqual(readdirSync(SCHEMA_FOLDER).sort(), [...schemas.keys()].sort());
  for (const [name, text] of schemas) assert.ok(published(name) === text, name);
});

test('they take every recipe, with a $schema, and refuse a field that is none', async () => {
  for (const [name, recipes] of [
    ['recipe.schema.json', RECIPES],
    ['assembly.schema.json', ASSEMBLIES],
  ] as const) {
    const schema = z.fromJSONSchema(JSON.parse(published(name)));
    for (const [recipe, open] of Object.entries(recipes)) {
      const value = JSON.parse(JSON.stringify((await open()).recipe)) as object;
      const read = schema.safeParse({ $schema: name, ...value });
      assert.ok(read.success, `${recipe}: ${JSON.stringify(read.error?.issues[0])}`);
      assert.ok(!schema.safeParse({ ...value, lop: 1 }).success, recipe);
    }
  }
});

test('every field of theirs has a description, which editors show', () => {
  for (const name of readdirSync(SCHEMA_FOLDER)) {
    const { numFields, missing } = undescribed(JSON.parse(published(name)) as Piece);
    assert.ok(numFields > 15, `${name}: ${numFields} fields`);
    assert.deepEqual(missing, [], name);
  }
});

test('a field without a description is found wherever it lies', () => {
  const bare: Piece = { properties: { bare: {} } };
  for (const hidden of [{ items: bare }, { oneOf: [bare] }, { additionalProperties: bare }, { $ref: '#/$defs/x' }]) {
    const schema = { properties: { field: { description: 'A field.', ...hidden } }, $defs: { x: bare } };
    assert.deepEqual(undescribed(schema).missing, ['.field.bare']);
  }
});
