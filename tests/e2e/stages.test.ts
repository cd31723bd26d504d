/** The paper's stages on tiny files in the published forms: the plan without data, sound data, real steps. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commlm } from '../helpers/cli.js';
import { writePaperData } from '../helpers/paper-files.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

let cwd = '';
let model = '';

before(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'commlm-stages-'));
  model = makeTinyModel();
  await writePaperData(cwd);
});

after(() => {
  rmSync(cwd, { recursive: true });
  rmSync(model, { recursive: true });
});

const RECIPES = ['comm-7b-stage1', 'comm-7b-stage2', 'comm-nano-stage1', 'comm-nano-stage2'];

const small = (): string[] =>
  [
    ...[`comm.model=${model}`, 'comm.dtype=f32', 'comm.device=cpu', 'comm.data.maxLength=1024', 'comm.workers=1'],
    ...['loop.steps=2', 'loop.batchSize=4', 'loop.accumulate=2', 'loop.logEvery=1'],
  ].flatMap((setting) => ['--set', setting]);

test('a dry run needs neither data nor model and says what is missing', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'commlm-nothing-'));
  try {
    for (const recipe of RECIPES) {
      const { code, stderr } = await commlm(['train', recipe, '--dry-run'], { cwd: empty });
      assert.equal(code, 0, stderr);
      assert.match(stderr, /missing: \d+ files and folders of data \(.*--json names all/);
      assert.match(stderr, /missing: runs\/out\/comm-/);
      const { stdout } = await commlm(['train', recipe, '--dry-run', '--json'], { cwd: empty });
      const { warnings } = JSON.parse(stdout) as { warnings: string[] };
      assert.ok(warnings.includes('missing: data/shikra/REC_ref3_train.jsonl'), stdout.slice(0, 2000));
    }
  } finally {
    rmSync(empty, { recursive: true });
  }
});

test('the data of both stages are sound, set by set', async () => {
  const args = ['data', 'validate', 'comm-7b-stage2', ...small(), '--json'];
  const { code, stdout, stderr } = await commlm(args, { cwd });
  assert.equal(code, 0, stdout + stderr);
  const { sets } = JSON.parse(stdout) as { sets: Record<string, { samples: number; learned: number }> };
  assert.equal(Object.keys(sets).length, 23);
  for (const [name, { samples, learned }] of Object.entries(sets)) assert.ok(samples > 0 && learned > samples, name);
});

for (const recipe of RECIPES) {
  test(`${recipe} takes real steps on its own mixture`, async () => {
    const out = join(cwd, recipe);
    const { code, stderr } = await commlm(['train', recipe, ...small(), '--out', out], { cwd });
    assert.equal(code, 0, stderr);
    const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const losses = lines.flatMap((line) => {
      const loss = (JSON.parse(line) as Record<string, number>)['train/loss'];
      return loss === undefined ? [] : [loss];
    });
    assert.equal(losses.length, 2);
    assert.ok(losses.every((loss) => Number.isFinite(loss) && loss > 0));
    assert.ok(existsSync(join(out, 'result', 'config.json')));
  });
}
