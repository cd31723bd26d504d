/**
 * Every stored tensor and every change by an adapter counts, or is refused by name: heads that config.json calls tied,
 * adapters of such heads, projectors beside an adapter, tables that are computed here (tools/golden/lora_tied.py).
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { arange, io, noGrad, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { maxRelDiff, roundingBound } from '@commlm/torch/testing';
import { CommError, convertModel, inspectModel, loadHfEncoder, loadHfLlama, mergeLora } from 'commlm';
import { LORA_BOUND } from './arithmetic.js';

const golden = fileURLToPath(new URL('../../golden', import.meta.url));
const tied = join(golden, 'lora-tied');
const root = mkdtempSync(join(tmpdir(), 'unread-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** f32 logits of a model of one layer, next to the reference's: sums of at most 24 terms in another order, ten in a row. */
const BOUND = roundingBound({ terms: 24, steps: 10 });

const fresh = (name: string): string => join(mkdtempSync(join(root, 'case-')), name);

/** A copy of a model folder with other tensors. */
function withWeights(from: string, change: (weights: Map<string, Tensor>) => void): string {
  const folder = fresh('model');
  cpSync(from, folder, { recursive: true });
  scope(() => {
    const weights = io.readSafetensors(join(from, 'model.safetensors'));
    change(weights);
    rmSync(join(folder, 'model.safetensors'));
    io.writeSafetensors(join(folder, 'model.safetensors'), weights, { format: 'pt' });
  });
  return folder;
}

function withConfig(folder: string, change: object): string {
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...change }));
  return folder;
}

function logitsOf(folder: string): Float32Array {
  const model = loadHfLlama(folder);
  try {
    return scope(() =>
      noGrad(() => model.forward(tensor([[3, 1, 4, 1, 5]], { dtype: 'i64' })).toArray() as Float32Array),
    );
  } finally {
    model.dispose();
  }
}

function assertLogits(folder: string, name: string): void {
  scope(() => {
    const wanted = io.readSafetensors(join(tied, 'logits.safetensors')).get(name)!;
    const difference = maxRelDiff(tensor(logitsOf(folder)).view(...wanted.shape), wanted);
    assert.ok(difference <= BOUND, `${name}: ${difference}`);
  });
}

function refuses(run: () => unknown, code: string, message: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof CommError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

test('a head that is stored with other numbers is used, whatever config.json says', () => {
  assertLogits(join(tied, 'untied'), 'untied');
  assert.doesNotMatch(inspectModel(join(tied, 'untied')).summary, /tied/);
});

test('a head that is stored with the same numbers, or in place of the table, stays tied', () => {
  const wanted = logitsOf(join(tied, 'base'));
  const table = 'model.embed_tokens.weight';
  const both = withWeights(join(tied, 'base'), (weights) => weights.set('lm_head.weight', weights.get(table)!));
  const headOnly = withWeights(join(tied, 'base'), (weights) => {
    weights.set('lm_head.weight', weights.get(table)!);
    weights.delete(table);
  });
  for (const folder of [both, headOnly]) {
    assert.deepEqual(logitsOf(folder), wanted);
    assert.match(inspectModel(folder).summary, /tied/);
  }
});

for (const name of ['head', 'table', 'both', 'saved-head', 'saved-table', 'fan-in']) {
  test(`an adapter of a tied model answers as it was trained: ${name}`, () => {
    const out = fresh('merged');
    mergeLora(join(tied, 'base'), join(tied, name), out);
    assertLogits(out, name);
    const { tie_word_embeddings: says } = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    // With ensure_weight_tying the two change alike, and stay one.
    assert.equal(says, ['fan-in', 'both'].includes(name));
  });
}

test('an adapter of the head of an untied model that is called tied changes the head', () => {
  const out = fresh('merged');
  mergeLora(join(tied, 'untied'), join(tied, 'saved-head'), out);
  // The adapter brings a head of its own, and its factors are for a layer that both bases share.
  assertLogits(out, 'saved-head');
});

test("the projector that LLaVA lays beside an adapter takes the place of the model's", () => {
  const out = fresh('converted');
  convertModel({ model: join(golden, 'whole/llava'), out, lora: join(tied, 'llava') });
  scope(() => {
    const merged = io.readSafetensors(join(out, 'model.safetensors'));
    const wanted = [...io.readSafetensors(join(tied, 'llava.merged.safetensors'))];
    assert.equal(wanted.length, 6);
    for (const [key, weight] of wanted) {
      const ours = key
        .replace(
          /^(?:model\.)?multi_modal_projector\.linear_(\d)/,
          (_, layer) => `projector.layers.${Number(layer) - 1}`,
        )
        .replace(/^(?:model\.)?language_model\.(?:model\.)?/, 'language_model.model.');
      const difference = maxRelDiff(merged.get(ours)!, weight);
      assert.ok(difference <= LORA_BOUND, `${ours}: ${difference}`);
    }
  });
});

test('what lies beside an adapter and is not known is refused by its name', () => {
  const adapter = fresh('adapter');
  cpSync(join(tied, 'head'), adapter, { recursive: true });
  for (const name of ['optimizer.pt', 'training_args.bin', 'rng_state_0.pth']) writeFileSync(join(adapter, name), 'x');
  mergeLora(join(tied, 'base'), adapter, fresh('out'));
  writeFileSync(join(adapter, 'new_embeddings.safetensors'), 'x');
  refuses(
    () => mergeLora(join(tied, 'base'), adapter, fresh('out')),
    'lora/beside',
    /new_embeddings\.safetensors lies beside/,
  );
});

test('an adapter that changes one tensor twice, or has none, is refused', () => {
  const rewritten = (from: string, change: (weights: Map<string, Tensor>) => void): string => {
    const folder = fresh('adapter');
    mkdirSync(folder);
    cpSync(join(from, 'adapter_config.json'), join(folder, 'adapter_config.json'));
    scope(() => {
      const weights = io.readSafetensors(join(from, 'adapter_model.safetensors'));
      change(weights);
      io.writeSafetensors(join(folder, 'adapter_model.safetensors'), weights, { format: 'pt' });
    });
    return folder;
  };
  const base = join(tied, 'base');
  const twice = rewritten(join(tied, 'saved-head'), (weights) =>
    weights.set('base_model.model.lm_head.modules_to_save.default.weight', zeros([24, 16])),
  );
  refuses(() => mergeLora(base, twice, fresh('out')), 'lora/keys', /'lm_head\.weight' twice/);
  const none = rewritten(join(tied, 'head'), (weights) => weights.clear());
  refuses(() => mergeLora(base, none, fresh('out')), 'lora/keys', /holds no tensors/);
  const resized = rewritten(join(tied, 'saved-head'), (weights) =>
    weights.set('base_model.model.lm_head.weight', zeros([25, 16])),
  );
  refuses(() => mergeLora(base, resized, fresh('out')), 'lora/shape', /\[24, 16\], the adapter has \[25, 16\]/);
});

test('a change of a tensor that no answer depends on is refused, unless it changes nothing', () => {
  const text = 'vision_tower.text_model.final.weight';
  const llava = withWeights(join(golden, 'whole/llava'), (weights) => {
    const prefix = [...weights.keys()].find((key) => key.includes('vision_tower.'))!.split('vision_tower.')[0]!;
    weights.set(prefix + text, zeros([2, 2]).add(1));
  });
  const adapter = (factor: number): string => {
    const folder = fresh('adapter');
    mkdirSync(folder);
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ peft_type: 'LORA', r: 1, lora_alpha: 1 }));
    const weights = new Map(
      [...['A', 'B']].map((which) => {
        const shape = which === 'A' ? [1, 2] : [2, 1];
        return [
          `base_model.model.model.vision_tower.text_model.final.lora_${which}.weight`,
          zeros(shape).add(which === 'A' ? 1 : factor),
        ];
      }),
    );
    io.writeSafetensors(join(folder, 'adapter_model.safetensors'), weights, { format: 'pt' });
    return folder;
  };
  convertModel({ model: llava, out: fresh('out'), lora: adapter(0) });
  refuses(
    () => convertModel({ model: llava, out: fresh('out'), lora: adapter(0.5) }),
    'lora/no-effect',
    /text_model\.final\.weight'.* answers do not depend on/,
  );
});

test('fields of the original LLaVA that are not heeded are refused by name', () => {
  for (const [change, name] of [
    [{ s2: true }, /'s2'/],
    [{ mm_resampler_type: 'spatial_pool' }, /'mm_resampler_type'/],
    [{ mm_vision_select_feature: 'cls_patch' }, /'mm_vision_select_feature'/],
    [{ image_aspect_ratio: 'anyres' }, /'image_aspect_ratio'/],
  ] as const) {
    const model = fresh('model');
    cpSync(join(golden, 'whole/llava-original'), model, { recursive: true });
    refuses(() => convertModel({ model: withConfig(model, change), out: fresh('out') }), 'weights/unsupported', name);
  }
});

test('a model of text alone takes nothing from other folders', () => {
  const [model, lora] = [join(tied, 'base'), join(tied, 'head')];
  refuses(
    () => convertModel({ model, out: fresh('out'), lora, visionTower: [join(golden, 'models/clip')] }),
    'weights/no-effect',
    /a model of text alone/,
  );
});

test('an adapter goes into a converted model by the original names, and into 8-bit weights not at all', () => {
  const [floats, int8] = [fresh('floats'), fresh('int8')];
  const adapter = join(tied, 'llava');
  convertModel({ model: join(golden, 'whole/llava'), out: floats });
  convertModel({ model: floats, out: fresh('out'), lora: adapter });
  convertModel({ model: floats, out: int8, dtype: 'int8' });
  refuses(() => convertModel({ model: int8, out: fresh('out'), lora: adapter }), 'lora/shape', /is stored as i8/);
});

test("an adapter in a model's folder is not passed over", () => {
  const model = fresh('model');
  cpSync(join(golden, 'whole/llava'), model, { recursive: true });
  cpSync(join(tied, 'llava'), model, { recursive: true });
  refuses(() => convertModel({ model, out: fresh('out') }), 'weights/adapter-beside', /holds a LoRA adapter/);
});

test('tables that are computed here have to hold what is computed', () => {
  const rope = 'model.layers.0.self_attn.rotary_emb.inv_freq';
  const frequencies = (theta: number): Tensor => tensor(Float32Array.from({ length: 4 }, (_, i) => theta ** (-i / 4)));
  for (const dtype of ['f32', 'f16', 'bf16'] as const) {
    const right = withWeights(join(tied, 'base'), (weights) => weights.set(rope, frequencies(10_000).to(dtype)));
    assert.deepEqual(logitsOf(right), logitsOf(join(tied, 'base')));
    const wrong = withWeights(join(tied, 'base'), (weights) => weights.set(rope, frequencies(20_000).to(dtype)));
    refuses(() => loadHfLlama(wrong), 'weights/no-effect', /inv_freq'.* not the frequencies/);
  }
  const stretched = { rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 10_000 } };
  for (const factor of [1, 2]) {
    const scaled = withWeights(join(tied, 'base'), (weights) => weights.set(rope, frequencies(10_000).div(factor)));
    loadHfLlama(withConfig(scaled, stretched)).dispose();
  }
  const clip = join(golden, 'models/clip');
  const prefix = scope(() =>
    [...io.readSafetensors(join(clip, 'model.safetensors')).keys()][0]!.startsWith('vision_model.')
      ? 'vision_model.'
      : '',
  );
  const key = `${prefix}embeddings.position_ids`;
  const counted = (last: number): string =>
    withWeights(clip, (weights) => {
      const ids = arange(4, { dtype: 'i64' });
      weights.set(key, last === 3 ? ids : ids.add(1));
    });
  loadHfEncoder(counted(3)).vit.dispose();
  refuses(() => loadHfEncoder(counted(4)), 'weights/no-effect', /position_ids'.* not 0, 1, 2/);
});
