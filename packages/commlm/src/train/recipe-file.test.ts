/** Recipes of the user's in files: JSON, modules, TypeScript, and what is wrong with one. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadRecipe, recipeName } from './recipe.js';

const folder = mkdtempSync(join(tmpdir(), 'commlm recipes-'));
after(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const tiny = await loadRecipe('tiny-own-data');
// The word is put in so that the guard of imports does not read the text as an import of this file.
const module = (types = ''): string => `
  import { steps } ${'from'} './${types === '' ? 'steps.mjs' : 'numbers.js'}';
  const base${types} = ${JSON.stringify(tiny)};
  export const recipe = { ...base, loop: { ...base.loop, steps } };
`;

test('a recipe is read from JSON, whose $schema is for editors, and from a module', async () => {
  const json = file('mine.json', JSON.stringify({ $schema: './recipe.schema.json', ...tiny }));
  assert.deepEqual(await loadRecipe(json), tiny);
  assert.equal(recipeName(json), 'mine');
  file('steps.mjs', 'export const steps = 3;');
  const recipe = await loadRecipe(file('mine.mjs', module()));
  assert.ok(recipe.kind === 'comm');
  assert.equal(recipe.loop.steps, 3);
});

test('TypeScript is compiled by the project of the file, and nothing of that stays', async () => {
  const path = file('mine.ts', module(': any'));
  file('numbers.ts', 'export const steps: number = 4;');
  if (!('typescript' in process.features && process.features.typescript)) {
    await assert.rejects(loadRecipe(path), { code: 'file/typescript' });
    mkdirSync(join(folder, 'node_modules'));
    const compiler = fileURLToPath(new URL('../../../../node_modules/typescript', import.meta.url));
    symlinkSync(compiler, join(folder, 'node_modules', 'typescript'), 'junction');
    const recipe = await loadRecipe(path);
    assert.ok(recipe.kind === 'comm');
    assert.equal(recipe.loop.steps, 4);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('.')),
      [],
    );
    return;
  }
  // Node itself wants the name of the file as it is.
  const recipe = await loadRecipe(file('mine2.ts', module(': any').replace('numbers.js', 'numbers.ts')));
  assert.ok(recipe.kind === 'comm');
  assert.equal(recipe.loop.steps, 4);
});

test('what is wrong with a file is said by its name and the field', async () => {
  const refused = async (path: string, message: RegExp, fix: RegExp = /./): Promise<void> => {
    await assert.rejects(loadRecipe(path), (error: Error & { fix?: string }) => {
      assert.match(error.message, message);
      assert.match(error.fix ?? '', fix);
      return true;
    });
  };
  const bad = (name: string, changes: object): string => file(name, JSON.stringify({ ...tiny, ...changes }));
  await refused(join(folder, 'none.json'), /no file .*none\.json/);
  await refused(file('list.json', '[]'), /list\.json/);
  await refused(bad('a.json', { kind: 'com' }), /"kind" of .*a\.json is not valid/, /"comm"/);
  await refused(bad('b.json', { lop: 1 }), /b\.json has a field "lop" that is not known/, /"loop"/);
  await refused(bad('c.json', { loop: { ...tiny, lr: -1 } }), /c\.json/);
  assert.ok(tiny.kind === 'comm');
  // What is missing is mostly there, misspelt.
  const { warmupRatio, ...loop } = tiny.loop;
  const misspelt = bad('g.json', { loop: { ...loop, warmupRation: warmupRatio } });
  await refused(misspelt, /g\.json has a field "loop\.warmupRation" that is not known/, /"warmupRatio"/);
  await refused(bad('h.json', { loop }), /"loop\.warmupRatio" of .*h\.json is missing/);
  await refused(file('d.mjs', 'export const recipes = 1;'), /d\.mjs exports no "recipe"/, /export const recipe =/);
  await refused(file('e.mjs', 'nonsense('), /e\.mjs does not run/);
  await refused(file('f.yaml', ''), /ends in "\.yaml"/, /JSON/);
  await refused('tiny-clop', /no recipe "tiny-clop"/, /tiny-clip/);
});
