#!/usr/bin/env node
/**
 * JSON Schemas of the files that users write (recipes of trainings and of assemblies, tasks of `eval`), from the schemas
 * that read them: `node tools/schemas.mjs` writes packages/commlm/schemas; a guard says when that is due.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const PACKAGE = fileURLToPath(new URL('../packages/commlm/', import.meta.url));
const inside = (path) => import(pathToFileURL(join(PACKAGE, 'dist', path)).href);

/** The folder that they are published in. */
export const SCHEMA_FOLDER = join(PACKAGE, 'schemas');

const SCHEMA_KEY = { type: 'string', description: 'Place of this schema, for editors.' };

/** Lets an object name its schema, as editors want it. */
function withSchemaKey(schema) {
  for (const option of schema.oneOf ?? [schema]) option.properties = { $schema: SCHEMA_KEY, ...option.properties };
  return schema;
}

/** What is constant in the program is not in a file. */
function withoutReadOnly({ jsonSchema }) {
  delete jsonSchema.readOnly;
}

/** Name of the file -> its text. */
export async function jsonSchemas() {
  const [{ z }, { Recipe }, { AssemblyRecipe }, { EvalTaskFile }] = await Promise.all([
    import('zod'),
    inside('config/recipe.js'),
    inside('config/assembly.js'),
    inside('eval/benchmarks/own-task.js'),
  ]);
  const titled = (title, description, schema) => {
    const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input', reused: 'ref', override: withoutReadOnly });
    return { $schema, title, description, ...withSchemaKey(rest) };
  };
  const schemas = {
    recipe: titled('A recipe of commlm train', 'docs/training.md describes it.', Recipe),
    assembly: titled('A recipe of commlm convert', 'docs/checkpoints.md describes it.', AssemblyRecipe),
    'eval-task': titled('A task of commlm eval', 'docs/evaluation.md describes it.', EvalTaskFile),
  };
  return new Map(
    Object.entries(schemas).map(([name, schema]) => [`${name}.schema.json`, `${JSON.stringify(schema, null, 1)}\n`]),
  );
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(SCHEMA_FOLDER, { recursive: true });
  for (const [name, text] of await jsonSchemas()) writeFileSync(join(SCHEMA_FOLDER, name), text);
}
