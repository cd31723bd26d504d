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
