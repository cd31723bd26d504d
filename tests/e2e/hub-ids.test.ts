/** Hub ids wherever a model is named: downloaded once from a local hub, and each failure with its own message. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CliResult, commlm } from '../helpers/cli.js';
import { writePicture } from '../helpers/pictures.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

const inner = new URL('../../../packages/commlm/dist/hub/local-hub.fixture.js', import.meta.url).href;
const { LocalHub } = (await import(inner)) as typeof import('../../packages/commlm/dist/hub/local-hub.fixture.js');
const golden = fileURLToPath(new URL('../../golden', import.meta.url));

let hub: Awaited<ReturnType<typeof LocalHub.start>>;
let root = '';
let model = '';
let picture = '';

/** Puts a folder on the hub; each commit is new. */
function host(name: string, folder: string, access: 'open' | 'private' | 'gated' = 'open'): void {
  const files = readdirSync(folder)
    .filter((file) => statSync(join(folder, file)).isFile())
    .map((file) => [file, { content: readFileSync(join(folder, file)), lfs: file.endsWith('.safetensors') }] as const);
  const commit = String(hub.models.size + 1)
    .repeat(40)
    .slice(0, 40);
  hub.models.set(name, { commit, refs: ['main', 'v1'], files: new Map(files), access });
}

before(async () => {
  hub = await LocalHub.start();
  root = mkdtempSync(join(tmpdir(), 'commlm-hub-ids-'));
  model = makeTinyModel();
  picture = await writePicture(join(root, 'picture.png'), 40, 40);
  host('org/comm', model);
  host('org/clip', join(golden, 'models/clip'));
  host('org/dinov2', join(golden, 'models/dinov2'));
  host('org/llama', join(golden, 'models/llama'));
  host('org/adapter', join(golden, 'lora/llama'));
  host('org/secret', join(golden, 'models/clip'), 'private');
  host('org/gated', join(golden, 'models/clip'), 'gated');
});

after(async () => {
  await hub.stop();
  rmSync(root, { recursive: true });
  rmSync(model, { recursive: true });
});

const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> =>
  commlm(args, { env: { HF_HOME: join(root, 'hf'), HF_ENDPOINT: hub.endpoint, HF_TOKEN: '', ...env } });

test('ask, inspect, features and convert take hub ids, with revisions, and download once', async () => {
  const ask = ['ask', '--model', 'org/comm@v1', '--max-new-tokens', '2', picture, 'What is this?'];
  const first = await run(ask);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /downloading org\/comm@v1/);
  hub.seen.length = 0;
  const second = await run(ask);
  assert.equal(second.code, 0, second.stderr);
  assert.deepEqual(hub.seen, [], 'nothing is asked of the hub again');
  const { modelType } = JSON.parse((await run(['inspect', 'org/clip', '--json'])).stdout) as { modelType: string };
  assert.equal(modelType, 'clip_vision_model');
  const out = join(root, 'features.safetensors');
  const features = await run(['features', picture, '--encoder', 'org/dinov2', '--out', out]);
  assert.equal(features.code, 0, features.stderr);
  const converted = join(root, 'converted');
  const convert = await run(['convert', 'org/llama', converted, '--lora', 'org/adapter']);
  assert.equal(convert.code, 0, convert.stderr);
  assert.ok(readdirSync(converted).includes('model.safetensors'));
  const again = await run(['convert', 'org/llama', join(root, 'again'), '--lora', 'org/adapter'], {
    HF_HUB_OFFLINE: '1',
  });
  assert.equal(again.code, 0, again.stderr);
});

test('parts of a recipe are pulled, and the folder to write is no hub id', async () => {
  const home = { HF_HOME: join(root, 'recipe-hf') };
  const parts = ['--clip', 'org/clip', '--dinov2', 'org/dinov2', '--llm', 'org/llama'];
  const { code, stderr } = await run(['convert', '--recipe', 'comm-nano', ...parts, 'some/out'], home);
  // The golden encoders are far too small for the recipe, which is found out after they are there.
  assert.equal(code, 1);
  assert.match(stderr, /Level \d+ does not exist/);
  for (const part of ['org/clip', 'org/dinov2', 'org/llama']) assert.match(stderr, new RegExp(`downloading ${part}`));
  assert.doesNotMatch(stderr, /some\/out/);
});

test('a recipe of training takes hub ids too', async () => {
  const set = ['--set', 'comm.model=org/clip'];
  const { code, stderr } = await run(['train', 'tiny-stage2', '--out', join(root, 'run'), ...set]);
  assert.equal(code, 1);
  assert.match(stderr, /describes a model of type 'clip_vision_model', which does not look at pictures and talk/);
});

test('what keeps a download from happening is said by name', async () => {
  const ask = (name: string, env: NodeJS.ProcessEnv = {}): Promise<CliResult> =>
    run(['ask', '--model', name, picture, 'What is this?'], { HF_HOME: join(root, 'empty-hf'), ...env });
  const cases: [string, NodeJS.ProcessEnv, RegExp][] = [
    ['org/none', {}, /org\/none.*(does not exist|private)/],
    ['org/comm@v9', {}, /v9/],
    ['org/secret', {}, /private|does not exist/],
    ['org/gated', {}, /gated/],
    ['org/gated', { HF_TOKEN: 'hf_wrong' }, /token/i],
    ['org/comm', { HF_HUB_OFFLINE: '1' }, /HF_HUB_OFFLINE is set/],
    ['org/comm', { HF_ENDPOINT: 'http://127.0.0.1:9' }, /127\.0\.0\.1:9/],
  ];
  for (const [name, env, message] of cases) {
    const { code, stderr } = await ask(name, env);
    assert.equal(code, 1, `${name}: ${stderr}`);
    assert.match(stderr, message, name);
    assert.match(stderr, /^fix: /m, name);
  }
});
