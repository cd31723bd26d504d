/** Our own model folder, written and read. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { io, manualSeed, noGrad, randn, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { expectNoLeak, expectRounded, maxRelDiff, withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { Comm } from '../models/comm.js';
import { SMALL_COMM_ROUNDING, smallComm } from '../models/sample-configs.fixture.js';
import { loadCommFolder, saveCommFolder } from './comm-folder.js';

const root = mkdtempSync(join(tmpdir(), 'comm-folder-'));
after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
/** A freshly saved model; conv-layerscale brings BatchNorm's buffers, integers among them. */
function saved(options: Parameters<typeof saveCommFolder>[2] = {}): { folder: string; model: Comm } {
  manualSeed(2);
  const merge = { kind: 'conv-layerscale', weights: { kind: 'softmax' }, kernelSize: 3, width: 24 } as const;
  const model = new Comm(smallComm({}, [{ merge }, {}]));
  const folder = join(root, String(count++));
  saveCommFolder(folder, model, options);
  return { folder, model };
}

const ids = (): Tensor => tensor([[7, 4, ...Array.from({ length: 16 }, () => 3), 5, 9]], { dtype: 'i64' });

/** Equal weights bit for bit; answers up to rounding, which depends on where a tensor lies in memory. */
function sameAnswers(a: Comm, b: Comm): void {
  const other = b.stateDict();
  for (const [key, weight] of a.stateDict()) assert.equal(maxRelDiff(other.get(key)!, weight), 0, key);
  a.eval();
  b.eval();
  scope(() =>
    noGrad(() => {
      const pixels = [randn([1, 3, 32, 32]), randn([1, 3, 32, 32])];
      const [one, two] = [a.forward(ids(), a.encodeImages(pixels)), b.forward(ids(), b.encodeImages(pixels))];
      expectRounded(one, two, SMALL_COMM_ROUNDING);
    }),
  );
}

/** Rewrites the weights of a folder after a change. */
function rewrite(folder: string, change: (weights: Map<string, Tensor>) => void): void {
  scope(() => {
    const path = join(folder, 'model.safetensors');
    const weights = new Map([...io.readSafetensors(path)].map(([key, value]) => [key, value.clone()]));
    change(weights);
    io.writeSafetensors(path, weights);
  });
}

const refusal = (folder: string, options = {}): CommError => {
  try {
    loadCommFolder(folder, options).model.dispose();
  } catch (error) {
    assert.ok(error instanceof CommError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: 'the folder was accepted' });
};

test('options that nobody knows are refused with the nearest known one', () => {
  const { model } = saved();
  const folder = join(root, 'unknown-options');
  const given = (options: object) => options as Record<string, never>;
  assert.throws(() => saveCommFolder(folder, model, given({ dtyp: 'bf16' })), {
    code: 'options/unknown',
    fix: /"dtype"/,
  });
  assert.ok(!existsSync(folder), 'nothing is written');
  saveCommFolder(folder, model);
  assert.throws(() => loadCommFolder(folder, given({ checkfinite: false })), { fix: /"checkFinite"/ });
  model.dispose();
});

test('a model comes back as it was, mapped and frozen', () => {
  const { folder, model } = saved();
  const loaded = withStrictScopes(() => loadCommFolder(folder));
  assert.deepEqual(loaded.config, model.config);
  assert.equal(loaded.storedDtype, 'f32');
  const { encoders } = JSON.parse(readFileSync(join(folder, 'preprocessor_config.json'), 'utf8'));
  assert.equal(encoders.length, model.config.vision.encoders.length);
  assert.equal(encoders[0].pad_color.length, 3);
  assert.ok(loaded.model.parameters().every((parameter) => !parameter.requiresGrad && parameter.device === 'cpu'));
  sameAnswers(model, loaded.model);
  model.dispose();
  loaded.model.dispose();
});

test('shards with an index are the same model, and replace a single file', () => {
  const { folder, model } = saved();
  saveCommFolder(folder, model, { maxShardBytes: 50_000 });
  const files = readdirSync(folder);
  assert.ok(!files.includes('model.safetensors'));
  assert.ok(files.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name)).length > 2);
  const { model: loaded } = loadCommFolder(folder);
  sameAnswers(model, loaded);
  model.dispose();
  loaded.dispose();
});

test('weights are stored and loaded in the asked dtype; integers keep theirs', () => {
  const { folder, model } = saved({ dtype: 'bf16' });
  const plain = loadCommFolder(folder);
  assert.equal(plain.model.projector.layers[0]!.weight.dtype, 'bf16');
  const wide = loadCommFolder(folder, { dtype: 'f32' });
  assert.equal(wide.storedDtype, 'bf16');
  assert.ok([...wide.model.stateDict().values()].every(({ dtype }) => dtype === 'f32' || dtype === 'i64'));
  for (const each of [model, plain.model, wide.model]) each.dispose();
});

test('nothing half-written is left', () => {
  const { folder, model } = saved();
  assert.ok(readdirSync(folder).every((name) => !name.endsWith('.tmp')));
  model.dispose();
});

test('missing, unexpected and misshaped tensors are named, with the nearest name', () => {
  const { folder, model } = saved();
  model.dispose();
  rewrite(folder, (weights) => {
    const norm = weights.get('language_model.model.norm.weight')!;
    weights.delete('language_model.model.norm.weight');
    weights.set('language_model.model.norm.wieght', norm);
    weights.set('projector.layers.0.bias', zeros([3]));
  });
  const { message, code } = refusal(folder);
  assert.equal(code, 'weights/keys');
  assert.match(message, /lacks language_model\.model\.norm\.weight/);
  assert.match(message, /norm\.wieght \(nearest: language_model\.model\.norm\.weight\)/);
  assert.match(message, /projector\.layers\.0\.bias is \[3\], not \[32\]/);
});

for (const [what, value] of [
  ['NaN', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
  ['-infinity', Number.NEGATIVE_INFINITY],
] as const) {
  test(`${what} in a weight is refused with the tensor's name, in each dtype`, () => {
    for (const dtype of ['f32', 'bf16', 'f16'] as const) {
      const { folder, model } = saved({ dtype });
      model.dispose();
      rewrite(folder, (weights) => weights.get('projector.layers.0.weight')!.select(0, 2).narrow(0, 5, 1).fill_(value));
      const { message, code } = refusal(folder);
      assert.equal(code, 'weights/not-finite');
      assert.match(message, /'projector\.layers\.0\.weight'/);
      loadCommFolder(folder, { checkFinite: false }).model.dispose();
    }
  });
}

test('damaged folders are refused in one sentence', () => {
  const cases: [RegExp, (folder: string) => void][] = [
    [/no config\.json/, (folder) => rmSync(join(folder, 'config.json'))],
    [/not valid JSON/, (folder) => writeFileSync(join(folder, 'config.json'), '{"model_type":')],
    [/holds no JSON object/, (folder) => writeFileSync(join(folder, 'config.json'), '[]')],
    [/type 'llava'/, (folder) => writeFileSync(join(folder, 'config.json'), '{"model_type": "llava"}')],
    [/no weights/, (folder) => rmSync(join(folder, 'model.safetensors'))],
    [/safetensors/, (folder) => writeFileSync(join(folder, 'model.safetensors'), '')],
    [
      /safetensors/,
      (folder) => {
        const path = join(folder, 'model.safetensors');
        writeFileSync(path, readFileSync(path).subarray(0, -100));
      },
    ],
  ];
  for (const [pattern, damage] of cases) {
    const { folder, model } = saved();
    model.dispose();
    damage(folder);
    const { message } = refusal(folder);
    assert.match(message, pattern);
    assert.ok(!message.includes('\n'), message);
  }
});

test('an index cannot point out of its folder or at tensors that are not there', () => {
  const { folder, model } = saved({ maxShardBytes: 50_000 });
  model.dispose();
  const path = join(folder, 'model.safetensors.index.json');
  const index = JSON.parse(readFileSync(path, 'utf8')) as { weight_map: Record<string, string> };
  const [key] = Object.keys(index.weight_map) as [string];
  for (const change of [{ [key]: '../elsewhere.safetensors' }, { 'no.such.tensor': index.weight_map[key]! }]) {
    writeFileSync(path, JSON.stringify({ weight_map: { ...index.weight_map, ...change } }));
    assert.equal(refusal(folder).code, 'weights/index');
  }
});

test('the tokenizer travels with the model', () => {
  const tokenizer = mkdtempSync(join(root, 'tokenizer-'));
  writeFileSync(join(tokenizer, 'tokenizer.json'), '{}');
  const { folder, model } = saved({ tokenizer });
  model.dispose();
  assert.ok(existsSync(join(folder, 'tokenizer.json')));
});

test('loading leaks nothing', () => {
  const { folder, model } = saved();
  model.dispose();
  expectNoLeak(() => loadCommFolder(folder).model.dispose(), { steps: 5 });
});
