/** Whatever lies in the place of a file of a model folder is named, at once: pointers, pages, error messages, pipes, devices. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CommError } from '../config/errors.js';
import { readGenerationConfig } from './files/generation-config.js';
import { loadHfEncoder, loadHfLlama } from './hf-folder.js';
import { mergeLora } from './lora.js';
import { openModel } from './open-model.js';

const golden = fileURLToPath(new URL('../../../../tests/golden', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'stand-ins-'));
after(() => rmSync(root, { recursive: true, force: true }));

const open = (folder: string): void => openModel(folder).model.dispose();
/** Files of model folders, and what reads them. */
const FILES: readonly (readonly [from: string, file: string, read: (folder: string) => void])[] = [
  ['whole/llava', 'config.json', open],
  ['whole/llava', 'model.safetensors', open],
  ['whole/llava', 'preprocessor_config.json', open],
  ['whole/llava', 'processor_config.json', open],
  ['whole/llava', 'generation_config.json', (folder) => void readGenerationConfig(folder)],
  ['models/llama', 'config.json', (folder) => loadHfLlama(folder).dispose()],
  ['models/clip', 'model.safetensors', (folder) => loadHfEncoder(folder).vit.dispose()],
  ['models/clip', 'preprocessor_config.json', (folder) => loadHfEncoder(folder).vit.dispose()],
  ['whole/prismatic', 'checkpoints/latest-checkpoint.pt', openPrismatic],
  ['lora/llama', 'adapter_config.json', merge],
  ['lora/llama', 'adapter_model.safetensors', merge],
  ['lora-tied/llava', 'non_lora_trainables.bin', merge],
  ['models/llama', 'model.safetensors.index.json', (folder) => loadHfLlama(folder).dispose()],
  ['models/llama', 'pytorch_model.bin', (folder) => loadHfLlama(folder).dispose()],
];

function openPrismatic(folder: string): void {
  const visionTowers = ['dino_featurizer', 'siglip_featurizer'].map((name) => join(folder, name));
  openModel(folder, { base: join(folder, 'llm'), visionTowers }).model.dispose();
}

function merge(adapter: string): void {
  mergeLora(join(golden, 'models/llama'), adapter, join(mkdtempSync(join(root, 'out-')), 'merged'));
}

/** A copy of a folder with something else at the place of one file. */
function withPlace(from: string, file: string, lay: (path: string) => void): string {
  const folder = mkdtempSync(join(root, 'folder-'));
  cpSync(join(golden, from), folder, { recursive: true });
  for (const name of [file, 'golden.safetensors']) rmSync(join(folder, name), { force: true });
  // An index, or a torch file, is looked at where the single file is missing.
  if (/index\.json$|^pytorch_model/.test(file)) rmSync(join(folder, 'model.safetensors'), { force: true });
  // One of the two places is enough for a processor.
  if (file === 'preprocessor_config.json') rmSync(join(folder, 'processor_config.json'), { force: true });
  lay(join(folder, file));
  return folder;
}

function refusal(run: () => void): CommError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof CommError, String((error as Error).stack));
    return error;
  }
  assert.fail('nothing was refused');
}

const STAND_INS: readonly (readonly [content: string, name: RegExp])[] = [
  [`version https://git-lfs.github.com/spec/v1\noid sha256:${'4'.repeat(64)}\nsize 360984\n`, /a Git LFS pointer/],
  ['<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>', /an HTML page/],
  ['{"error":"Invalid username or password."}', /an error message .*Invalid username/],
];

for (const [from, file, read] of FILES) {
  test(`${from}: what stands in for ${file} is named`, () => {
    for (const [content, name] of STAND_INS) {
      const error = refusal(() => read(withPlace(from, file, (path) => writeFileSync(path, content))));
      assert.equal(error.code, 'file/stand-in', error.message);
      assert.match(error.message, name);
      assert.match(error.message, new RegExp(file.replace(/.*\//, '').replaceAll('.', '\\.')));
      assert.match(error.fix ?? '', /commlm pull/);
    }
  });

  test(`${from}: a pipe and a device at ${file} are refused at once`, { skip: process.platform === 'win32' }, () => {
    for (const lay of [
      (path: string): void => void execFileSync('mkfifo', [path]),
      (path: string): void => symlinkSync('/dev/zero', path),
    ]) {
      const started = performance.now();
      assert.equal(refusal(() => read(withPlace(from, file, lay))).code, 'file/not-regular');
      assert.ok(performance.now() - started < 5000);
    }
  });
}

test('descriptions that are too large or too deep have one sentence', () => {
  const large = withPlace('whole/llava', 'config.json', (path) => {
    writeFileSync(path, '{');
    truncateSync(path, 3 * 2 ** 30);
  });
  assert.equal(refusal(() => open(large)).code, 'file/too-large');
  const deep = withPlace('whole/llava', 'config.json', (path) =>
    writeFileSync(path, `{"model_type":"llava","a":${'['.repeat(2e6)}${']'.repeat(2e6)}}`),
  );
  assert.match(refusal(() => open(deep)).message, /nested more than 200 levels/);
});

test('an index that is none is refused, whatever it holds', () => {
  const index = 'model.safetensors.index.json';
  const contents = ['null', '[]', '{"weight_map": []}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": ".."}}'];
  for (const content of [
    ...contents,
    '{"weight_map": {"a": "../b.safetensors"}}',
    '{"weight_map": {"a": "config.json"}}',
  ]) {
    const folder = withPlace('models/llama', index, (path) => writeFileSync(path, content));
    assert.equal(refusal(() => loadHfLlama(folder)).code, 'weights/index', content);
  }
});

test('a folder without weights says what it holds in their place', () => {
  for (const [file, name] of [
    ['model-q4.gguf', /a GGUF file \(model-q4\.gguf\)/],
    ['adapter_config.json', /a LoRA adapter/],
    ['mm_projector.bin', /a projector alone/],
  ] as const) {
    const folder = withPlace('models/llama', 'model.safetensors', () => {});
    writeFileSync(join(folder, file), 'x');
    const error = refusal(() => loadHfLlama(folder));
    assert.equal(error.code, 'weights/missing-file');
    assert.match(error.message, name);
  }
});
