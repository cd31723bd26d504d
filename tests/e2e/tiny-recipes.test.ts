/** The runs of runs/comm-tiny.sh, a step each: every recipe finds what the one before has left, and the last one answers. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { commlm, ROOT } from '../helpers/cli.js';

test('the recipes of comm-tiny lead from nothing to a model that answers', async () => {
  const script = readFileSync(join(ROOT, 'runs', 'comm-tiny.sh'), 'utf8');
  const recipes = [...script.matchAll(/^(?:OMP_NUM_THREADS=1 )?run (tiny-[a-z0-9]+)/gm)].map(
    ([, name]) => name as string,
  );
  assert.equal(recipes.length, 6, recipes.join());
  const cwd = mkdtempSync(join(tmpdir(), 'commlm-recipes-'));
  try {
    for (const recipe of recipes) {
      const settings = recipe === 'tiny-tokenizer' ? [] : ['--set', 'loop.steps=1'];
      const { code, stderr } = await commlm(['train', recipe, ...settings], { cwd });
      assert.equal(code, 0, `${recipe}: ${stderr}`);
    }
    const model = join('runs', 'out', recipes.at(-1) as string, 'result');
    const asked = await commlm(
      ['ask', join(ROOT, 'examples', 'park.png'), 'What is it?', '--model', model, '--max-new-tokens', '4', '--json'],
      { cwd },
    );
    assert.equal(asked.code, 0, asked.stderr);
    assert.equal(typeof (JSON.parse(asked.stdout) as { answer: unknown }).answer, 'string');
  } finally {
    rmSync(cwd, { recursive: true });
  }
});
