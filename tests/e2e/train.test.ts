/** `commlm train` as its users run it: plan, stop, resume, a folder in use, settings that are wrong. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RECIPES } from 'commlm/train';
import { type CliResult, commlm } from '../helpers/cli.js';

/** A CLIP run that takes seconds. */
const SMALL = [
  'loop.steps=40',
  'loop.batchSize=2',
  'loop.logEvery=2',
  'loop.saveEvery=10',
  'clip.encoder.vit.numLayers=1',
  'clip.encoder.levels={"from":1,"to":1}',
  'clip.encoder.vit.hiddenSize=32',
  'clip.encoder.vit.numHeads=2',
  'clip.encoder.vit.intermediateSize=64',
  'clip.text.numLayers=1',
].flatMap((setting) => ['--set', setting]);

let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-train-'));
});

after(() => rmSync(folder, { recursive: true }));

const train = (out: string, extra: readonly string[] = [], signal?: NodeJS.Signals): Promise<CliResult> =>
  commlm(['train', 'tiny-clip', ...SMALL, '--out', out, ...extra], {
    onStart: (child) => {
      if (signal === undefined) return;
      let sent = false;
      child.stderr?.on('data', (text: string) => {
        if (sent || !/step \d/.test(text)) return;
        sent = true;
        child.kill(signal);
      });
    },
  });

interface Plan {
  readonly plan: {
    readonly effectiveBatch: number;
    readonly trained: number;
    readonly learningRate: readonly { readonly lr: number }[];
    readonly memory: Readonly<Record<string, number>>;
  };
  readonly recipe: { readonly kind: string };
}

test('every recipe has a plan, without data and without weights', async () => {
  const cwd = mkdtempSync(join(folder, 'empty-'));
  for (const name of [
    ...['tiny-clip', 'tiny-dinov2', 'tiny-mae', 'tiny-deit', 'tiny-lm', 'tiny-align', 'tiny-stage1'],
    ...['tiny-stage2', 'clip-vit-l14', 'dinov2-vit-l14', 'mae-vit-l16', 'deit3-vit-l16'],
  ]) {
    const result = await commlm(['train', name, '--dry-run', '--json', '--set', 'loop.accumulate=3'], { cwd });
    assert.equal(result.code, 0, result.stderr);
    const { plan, recipe } = JSON.parse(result.stdout) as Plan;
    const { weights = 0, optimizer = 0, gradients = 0, total = 0 } = plan.memory;
    // The few parameters that stay in f32 have no copy beside them.
    assert.ok(Math.abs(optimizer / gradients - 6) < 1e-3, name);
    assert.ok(weights > 0 && total > weights + gradients + optimizer && plan.trained > 1e6, name);
    assert.equal(plan.learningRate.length, 4);
    assert.ok(plan.effectiveBatch % 3 === 0 && recipe.kind !== '');
  }
  assert.deepEqual(readdirSync(cwd), []);
  const text = await commlm(['train', 'tiny-stage1', '--dry-run'], { cwd });
  assert.match(text.stdout, /encoder\.0 +0 +5\.45 M/);
  assert.match(text.stdout, /^learning rate 0 at 0 %, 0\.00\d+ at 10 %, /m);
  assert.doesNotMatch(text.stdout, /"kind"|\de-\d|\b1 (steps|samples|checkpoints|evaluations)\b|\{/);
  const short = await commlm(['train', 'tiny-stage1', '--dry-run', '--set', 'loop.steps=1'], { cwd });
  assert.match(short.stdout, /^1 step of \d+ samples/m);
  assert.match(short.stdout, /^1 checkpoint, 0 evaluations, 1 step of warm-up$/m);
});

test('stopped by SIGTERM and by Ctrl-C a run saves, and goes on to the bytes of an undisturbed one', async () => {
  const [whole, stopped] = [join(folder, 'whole'), join(folder, 'stopped')];
  assert.equal((await train(whole)).code, 0);
  assert.equal((await train(stopped, [], 'SIGTERM')).code, 143);
  assert.ok(!existsSync(join(stopped, 'result')) && !existsSync(join(stopped, 'train.lock')));
  assert.equal((await train(stopped, ['--resume'], 'SIGINT')).code, 130);
  assert.match((await train(stopped)).stderr, /holds a run already/);
  const soFar = join(folder, 'so-far');
  const exported = await train(stopped, ['--export', soFar, '--json']);
  assert.equal(exported.code, 0, exported.stderr);
  const { step } = JSON.parse(exported.stdout) as { step: number };
  assert.ok(step > 0 && step < 40 && existsSync(join(soFar, 'model.safetensors')), exported.stdout);
  const other = await train(stopped, ['--resume', '--set', 'loop.lr=0.5', '--set', 'loop.clipNorm=2']);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /\(loop\.lr was 0\.001 and is 0\.5; loop\.clipNorm was 1 and is 2\)\.\nfix: +Leave out/);
  // The folder knows its recipe and every --set.
  const last = await commlm(['train', '--resume', '--out', stopped, '--json']);
  assert.equal(last.code, 0, last.stderr);
  assert.deepEqual(JSON.parse(last.stdout), { out: stopped, step: 40, finished: true });
  const weights = (out: string): Buffer => readFileSync(join(out, 'result', 'model.safetensors'));
  assert.deepEqual(weights(stopped), weights(whole));
  const again = join(folder, 'again');
  assert.equal((await commlm(['train', '--export', again, '--out', stopped])).code, 0);
  assert.deepEqual(readFileSync(join(again, 'model.safetensors')), weights(whole));
  for (const [out, to, message] of [
    [stopped, again, /is there already/],
    [join(folder, 'nowhere'), join(folder, 'x'), /holds no checkpoint/],
  ] as const) {
    const refused = await train(out, ['--export', to]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, message);
  }
  const steps = readFileSync(join(stopped, 'metrics.jsonl'), 'utf8').trim().split('\n');
  assert.deepEqual(
    steps.map((line) => (JSON.parse(line) as { step: number }).step),
    Array.from({ length: 20 }, (_, i) => 2 * (i + 1)),
  );
  const run = JSON.parse(readFileSync(join(stopped, 'run.json'), 'utf8')) as { seed: number; starts: object[] };
  assert.equal(run.seed, 11);
  assert.equal(run.starts.length, 3);
  assert.deepEqual([...readFileSync(join(stopped, 'curve.png')).subarray(1, 4)], [...Buffer.from('PNG')]);
});

test('recipes are listed, and a run without one needs the folder of another', async () => {
  const listed = await commlm(['train', '--list', '--json']);
  assert.equal(listed.code, 0, listed.stderr);
  const recipes = JSON.parse(listed.stdout) as { name: string; about: string }[];
  assert.deepEqual(recipes.map(({ name }) => name).sort(), Object.keys(RECIPES).sort());
  assert.ok(recipes.every(({ about }) => about !== ''));
  for (const [args, message] of [
    [[], /No recipe is named\.\nfix: +See commlm train --list/],
    [['--resume'], /folder of a run is named\.\nfix: +.*--out/],
    [['--resume', '--out', join(folder, 'nowhere')], /nowhere holds no recipe\.json/],
  ] as const) {
    const { code, stderr } = await commlm(['train', ...args]);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
  const old = join(folder, 'old');
  mkdirSync(old);
  const { recipe } = JSON.parse((await commlm(['train', 'tiny-clip', '--dry-run', '--json'])).stdout) as {
    recipe: { clip: object };
  };
  writeFileSync(join(old, 'recipe.json'), JSON.stringify({ ...recipe, clip: { ...recipe.clip, batchSize: 96 } }));
  const earlier = await commlm(['train', '--resume', '--out', old]);
  assert.equal(earlier.code, 2);
  assert.match(
    earlier.stderr,
    /recipe\.json has a field "clip\.batchSize" that is not known\..*\nfix: +Where an earlier version/,
  );
});

test('a folder in use and settings that are wrong are refused in words', async () => {
  const out = join(folder, 'busy');
  assert.equal((await train(out, [], 'SIGTERM')).code, 143);
  writeFileSync(join(out, 'train.lock'), JSON.stringify({ pid: 1, host: 'another-machine', began: null }));
  const busy = await train(out, ['--resume']);
  assert.equal(busy.code, 1);
  assert.match(busy.stderr, /Process 1 on another-machine trains in .*\n.*remove .*train\.lock/);
  const unknown = await train(out, ['--set', 'loop.acumulate=2']);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /a field "loop\.acumulate" that is not known[\s\S]*Did you mean "accumulate"/);
});

test('a run that went astray goes on as the message says, and --resume never begins anew without a word', async () => {
  const out = join(folder, 'astray');
  const nothing = await train(out, ['--resume']);
  assert.equal(nothing.code, 2);
  assert.match(nothing.stderr, /holds no run to go on with\.\nfix: +Leave out --resume/);
  assert.equal((await train(out, [], 'SIGTERM')).code, 143);
  const wrong = await train(out, ['--resume', '--change', 'loop.batchSize=3']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /cannot go on with another "loop\.batchSize"/);
  assert.equal((await train(out, ['--change', 'loop.lr=1'])).code, 2);
  const astray = await train(out, ['--resume', '--change', 'loop.lr=1e30']);
  assert.equal(astray.code, 1);
  assert.match(astray.stderr, /The (loss is|gradient is not)/);
  const advice = /Add (--resume) (--change) (loop\.lr=\S+) to go on from checkpoint-\d+/.exec(astray.stderr);
  assert.ok(advice !== null, astray.stderr);
  // Half of far too much is accepted and still too much.
  const advised = await train(out, advice.slice(1));
  assert.match(advised.stderr, /resumed at step \d+\n.*from here on loop\.lr is 5e\+29/);
  const last = await train(out, ['--resume', '--change', 'loop.lr=0.0001']);
  assert.equal(last.code, 0, last.stderr);
  const { starts } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as { starts: { changes?: object }[] };
  assert.deepEqual(starts.at(-1)?.changes, { 'loop.lr': 0.0001 });

  const checkpoints = readdirSync(out).filter((name) => /^checkpoint-\d+$/.test(name));
  assert.ok(checkpoints.length > 0);
  for (const name of checkpoints) writeFileSync(join(out, name, 'facts.json'), '');
  for (const extra of [['--resume'], ['--export', join(folder, 'unsound')]]) {
    const unsound = await train(out, ['--set', 'loop.lr=0.0001', ...extra]);
    assert.equal(unsound.code, 1, unsound.stderr);
    assert.match(unsound.stderr, /No checkpoint in .* is sound/);
  }
  assert.deepEqual(
    readdirSync(out).filter((name) => name.startsWith('checkpoint-')),
    checkpoints,
  );
});
