/** Runs that begin or go on as a recipe says. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { applySettings, loadRecipe } from './recipe.js';
import { runRecipe } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'comm-run-'));
after(() => rmSync(folder, { recursive: true }));

test('a run that goes on without its settings is told of them before files that they do not name', async () => {
  const out = join(folder, 'out');
  mkdirSync(join(out, 'checkpoint-2'), { recursive: true });
  const file = join(folder, 'mine.json');
  const began = applySettings(await loadRecipe('tiny-own-data'), [`comm.data.sets.own.file=${file}`]);
  writeFileSync(join(out, 'recipe.json'), JSON.stringify(began));
  const resume = async (settings: readonly string[]): Promise<unknown> => {
    const recipe = applySettings(await loadRecipe('tiny-own-data'), settings);
    return await runRecipe(recipe, { out, recipe, resume: true, log: () => {} });
  };
  await assert.rejects(resume([`comm.data.sets.own.file=${join(folder, 'other.json')}`]), {
    code: 'train/recipe',
    message: /belongs to another recipe \(comm\.data\.sets\.own\.file was .*mine\.json" and is .*other\.json"\)/,
    fix: /every --set \(.*recipe\.json has them all\)/,
  });
  // With the settings of the run it is the file that is missing.
  await assert.rejects(resume([`comm.data.sets.own.file=${file}`]), { code: 'file/missing', message: /mine\.json/ });
});
