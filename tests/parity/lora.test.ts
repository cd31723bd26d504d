/** LoRA adapters against peft's merge_and_unload: merged weights, and logits of what is written (tools/golden/lora.py). */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, noGrad, scope, tensor } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import { loadHfLlama } from 'commlm';
import { commlm } from '../helpers/cli.js';
import { forwardBound, LORA_BOUND } from './arithmetic.js';

const golden = fileURLToPath(new URL('../../golden', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'lora-'));
after(() => rmSync(root, { recursive: true, force: true }));

const bases: Readonly<Record<string, string>> = { gpt2: 'lora/gpt2-base' };
const baseOf = (name: string): string => join(golden, bases[name] ?? 'models/llama');
const adapterOf = (name: string): string => join(golden, 'lora', name);

async function merge(name: string, ...more: string[]): Promise<string> {
  const out = mkdtempSync(join(root, `${name}-`));
  const { code, stderr } = await commlm(['convert', baseOf(name), out, '--lora', adapterOf(name), ...more]);
  assert.equal(code, 0, stderr);
  return out;
}

for (const name of ['llama', 'llama-patterns', 'gpt2']) {
  test(`${name}: every merged weight is peft's, and nothing else changes`, async () => {
    const out = await merge(name);
    scope(() => {
      const merged = io.readSafetensors(join(out, 'model.safetensors'));
      const base = io.readSafetensors(join(baseOf(name), 'model.safetensors'));
      const wanted = io.readSafetensors(`${adapterOf(name)}.merged.safetensors`);
      assert.deepEqual([...merged.keys()].sort(), [...base.keys()].sort());
      for (const [key, weight] of merged) {
        const difference = maxRelDiff(weight, wanted.get(key) ?? base.get(key)!);
        assert.ok(difference <= (wanted.has(key) ? LORA_BOUND : 0), `${key}: ${difference}`);
      }
    });
  });
}

test('the merged Llama answers as peft merged it', async () => {
  for (const name of ['llama', 'llama-patterns']) {
    const model = loadHfLlama(await merge(name));
    scope(() =>
      noGrad(() => {
        const wanted = io.readSafetensors(`${adapterOf(name)}.merged.safetensors`).get('logits')!;
        const difference = maxRelDiff(model.forward(tensor([[3, 1, 4, 1, 5]], { dtype: 'i64' })), wanted);
        assert.ok(difference <= forwardBound(model.config), `${name}: ${difference}`);
      }),
    );
    model.dispose();
  }
});

test('a bf16 model stays bf16, within one rounding of peft, which rounds the difference first', async () => {
  const base = mkdtempSync(join(root, 'bf16-'));
  cpSync(baseOf('llama'), base, { recursive: true });
  scope(() => {
    const weights = [...io.readSafetensors(join(base, 'model.safetensors'))];
    rmSync(join(base, 'model.safetensors'));
    io.writeSafetensors(
      join(base, 'model.safetensors'),
      weights.map(([key, weight]) => [key, weight.to('bf16')] as const),
    );
  });
  const out = mkdtempSync(join(root, 'out-'));
  const { code, stderr } = await commlm(['convert', base, out, '--lora', adapterOf('llama-bf16')]);
  assert.equal(code, 0, stderr);
  scope(() => {
    const merged = io.readSafetensors(join(out, 'model.safetensors'));
    for (const [key, wanted] of io.readSafetensors(`${adapterOf('llama-bf16')}.merged.safetensors`)) {
      if (key === 'logits') continue;
      assert.equal(merged.get(key)!.dtype, 'bf16');
      const difference = maxRelDiff(merged.get(key)!.to('f32'), wanted.to('f32'));
      // peft rounds twice, so that a weight may be one step of bf16 away: at most 2^-7 of itself.
      assert.ok(difference <= 2 ** -7, `${key}: ${difference}`);
    }
  });
});

test('LLaVA: vision tower, language model and projector of one adapter, through convert', async () => {
  const out = mkdtempSync(join(root, 'llava-'));
  const { code, stderr } = await commlm(['convert', join(golden, 'whole/llava'), out, '--lora', adapterOf('llava')]);
  assert.equal(code, 0, stderr);
  scope(() => {
    const merged = io.readSafetensors(join(out, 'model.safetensors'));
    const wanted = io.readSafetensors(`${adapterOf('llava')}.merged.safetensors`);
    let numCompared = 0;
    for (const [key, weight] of wanted) {
      const block = /^vision_tower\.encoder\.layers\.(\d+)\.self_attn\.([qk])_proj\.(weight|bias)$/.exec(key);
      const projector = /^multi_modal_projector\.linear_(\d)\.(.*)$/.exec(key);
      const ours =
        block !== null
          ? merged.get(`vision.encoders.0.vit.blocks.${block[1]}.attn.qkv.${block[3]}`)!.chunk(3, 0)[
              block[2] === 'q' ? 0 : 1
            ]!
          : merged.get(projector === null ? key : `projector.layers.${Number(projector[1]) - 1}.${projector[2]}`)!;
      const difference = maxRelDiff(ours, weight);
      assert.ok(difference <= LORA_BOUND, `${key}: ${difference}`);
      numCompared++;
    }
    assert.equal(numCompared, 22);
  });
});

test('what cannot be merged is refused by name, and nothing is written', async () => {
  const changed = (change: (json: Record<string, unknown>) => void): string => {
    const folder = mkdtempSync(join(root, 'adapter-'));
    cpSync(adapterOf('llama'), folder, { recursive: true });
    const path = join(folder, 'adapter_config.json');
    const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    change(json);
    writeFileSync(path, JSON.stringify(json));
    return folder;
  };
  const cases: [string, RegExp][] = [
    [adapterOf('llama-dora'), /DoRA \(use_dora\)/],
    [changed((json) => Object.assign(json, { peft_type: 'LOHA' })), /type LOHA/],
    [changed((json) => Object.assign(json, { r: 8 })), /its rank is 8/],
    [changed((json) => Object.assign(json, { lora_bias: true })), /'lora_bias'/],
    [changed((json) => Object.assign(json, { alpha_pattern: { '(a+)+b': 2 } })), /pattern/],
    [changed((json) => Object.assign(json, { init_lora_weights: 'pissa' })), /init_lora_weights/],
    [adapterOf('llava'), /changes 'model\.multi_modal_projector.*does not have/],
    [join(golden, 'models/llama'), /no adapter_config\.json/],
    [join(root, 'nothing'), /no adapter folder/],
  ];
  for (const [adapter, message] of cases) {
    const out = join(root, 'refused');
    const { code, stderr } = await commlm(['convert', baseOf('llama'), out, '--lora', adapter]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, message);
    rmSync(out, { recursive: true, force: true });
  }
});
