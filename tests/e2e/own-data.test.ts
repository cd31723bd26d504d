/** docs/own-data.md, walked: its script and every command of it, as they stand, on forty pictures of the world generator. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { commlm, ROOT } from '../helpers/cli.js';

const PAGE = readFileSync(join(ROOT, 'docs', 'own-data.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, body]) => body!);

let folder = '';

/** Runs the page's shell blocks as one script, with an `npx` that finds the commands of this clone. */
function walk(): Promise<{ code: number | null; output: string }> {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const npx = `#!/bin/sh\nshift\nexec "${process.execPath}" "${join(ROOT, 'packages', 'commlm', 'bin', 'commlm.js')}" "$@"\n`;
  writeFileSync(join(bin, 'npx'), npx);
  chmodSync(join(bin, 'npx'), 0o755);
  const child = spawn('sh', ['-e', '-x', '-c', blocks('sh').join('\n')], {
    cwd: folder,
    env: { ...process.env, OMP_NUM_THREADS: '1', PATH: `${bin}${delimiter}${process.env['PATH']}` },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

const json = <T>(...path: string[]): T => JSON.parse(readFileSync(join(folder, ...path), 'utf8')) as T;
const lines = (...path: string[]): Record<string, unknown>[] =>
  readFileSync(join(folder, ...path), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-own-'));
  const own = join(folder, 'data', 'own');
  const made = await commlm(['world', join(folder, 'world'), '--count', '40', '--seed', '5']);
  assert.equal(made.code, 0, made.stderr);
  mkdirSync(own, { recursive: true });
  renameSync(join(folder, 'world', 'images'), join(own, 'images'));
  // The two files as a user writes them: names of pictures without a folder.
  const base = (name: unknown): string => String(name).replace('images/', '');
  const talk = json<{ id: string; image: string; conversations: unknown[] }[]>('world', 'llava.json');
  const short = talk.map(({ id, image, conversations }) => ({
    id,
    image: base(image),
    conversations: conversations.slice(0, 4),
  }));
  writeFileSync(join(own, 'talk.json'), JSON.stringify(short));
  const boxes = lines('world', 'refcoco.jsonl').map(({ img_path, expression, bbox, width, height }) => ({
    ...{ img_path: base(img_path), expression, bbox, width, height },
  }));
  writeFileSync(join(own, 'boxes.json'), JSON.stringify(boxes));
  const scripts = blocks('js');
  assert.equal(scripts.length, 1);
  writeFileSync(join(folder, 'split.mjs'), scripts[0]!);
  const recipes = blocks('json').filter((text) => text.includes('"kind": "stage"'));
  assert.equal(recipes.length, 1);
  writeFileSync(join(folder, 'my-recipe.json'), recipes[0]!);
});

after(() => rmSync(folder, { recursive: true }));

const skip = process.platform === 'win32' ? 'the page is for a shell' : false;

test('the page, from the split to the exported model', { skip }, async () => {
  const { code, output } = await walk();
  assert.equal(code, 0, output.slice(-3000));
  // No picture lies on both sides.
  const trained = new Set(lines('data', 'own', 'train-boxes.jsonl').map(({ img_path }) => img_path));
  const held = new Set(lines('data', 'own', 'held-boxes.jsonl').map(({ img_path }) => img_path));
  assert.deepEqual([trained.size, held.size], [30, 10]);
  assert.ok([...held].every((picture) => !trained.has(picture)));
  assert.match(output, /no faults in \d+ samples/);
  assert.match(readFileSync(join(folder, 'preview', 'index.html'), 'utf8'), /class="learned"/);
  const metrics = lines('runs', 'out', 'own', 'metrics.jsonl');
  assert.ok(
    metrics.some((line) => 'eval/loss' in line),
    JSON.stringify(metrics.at(-1)),
  );
  assert.ok(existsSync(join(folder, 'runs', 'out', 'own', 'curve.svg')));
  for (const name of ['before', 'own', 'projector']) {
    assert.ok(existsSync(join(folder, 'results', name, 'results.json')), name);
    assert.equal(
      lines('results', name, 'samples_refcoco.jsonl').length,
      lines('data', 'own', 'held-boxes.jsonl').length,
    );
  }
  assert.ok(existsSync(join(folder, 'my-model', 'model.safetensors')));
  assert.ok(!output.split('my-model').at(-1)!.includes('comm-tiny knows'), 'what was trained on knows other things');
});

test('without data the recipe names the file, its format and the page', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'commlm-own-'));
  try {
    for (const args of [
      ['data', 'preview', 'tiny-own-data'],
      ['data', 'validate', 'tiny-own-data'],
      ['train', 'tiny-own-data'],
    ]) {
      const { code, stderr } = await commlm(args, { cwd: empty });
      assert.equal(code, 1);
      assert.match(stderr, /data\/own\/train\.json/);
      assert.match(stderr, /"conversations": \[/);
      assert.match(stderr, /docs\/own-data\.md/);
    }
  } finally {
    rmSync(empty, { recursive: true });
  }
});
