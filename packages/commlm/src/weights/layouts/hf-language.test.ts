/** Language models of many families: there and back, and refusals by name. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, scope, type Tensor, zeros } from '@commlm/torch';
import { expectNoLeak, maxRelDiff, withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../../config/errors.js';
import { fromJson, LlamaConfig, toJson } from '../../config/model.js';
import { readGenerationConfig } from '../files/generation-config.js';
import { toTheirs } from '../key-rules.js';
import { hfLanguageModel, languageModelTypes, loadHfLanguageModel } from './hf-language.js';

const golden = fileURLToPath(new URL('../../../../../tests/golden/language', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'hf-language-'));
after(() => rmSync(root, { recursive: true, force: true }));

const types = ['qwen2', 'qwen3', 'mistral-v0.1', 'llama-3.1', 'phi-2', 'gemma-2'];
const read = (model: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(golden, model, 'config.json'), 'utf8')) as Record<string, unknown>;

const refuses = (run: () => unknown, pattern: RegExp, code?: string): void =>
  assert.throws(run, (error) => {
    assert.ok(error instanceof CommError, String(error));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes('\n'));
    if (code !== undefined) assert.equal(error.code, code);
    return true;
  });

/** A copy of a golden folder with changed weights. */
function changed(model: string, change: (weights: Map<string, Tensor>) => void): string {
  const folder = mkdtempSync(join(root, 'model-'));
  cpSync(join(golden, model, 'config.json'), join(folder, 'config.json'));
  scope(() => {
    const weights = new Map(io.readSafetensors(join(golden, model, 'model.safetensors')));
    change(weights);
    io.writeSafetensors(join(folder, 'model.safetensors'), weights);
  });
  return folder;
}

for (const model of types) {
  test(`${model} goes back to the layout it came from, and its config to disk and back`, () => {
    const { config, rules } = hfLanguageModel(read(model), 'config.json');
    assert.deepEqual(fromJson(LlamaConfig, JSON.parse(JSON.stringify(toJson(config)))), config);
    withStrictScopes(() =>
      scope(() => {
        using llama = loadHfLanguageModel(join(golden, model));
        const back = toTheirs(llama.stateDict(), rules);
        const stored = io.readSafetensors(join(golden, model, 'model.safetensors'));
        assert.deepEqual([...back.keys()].sort(), [...stored.keys()].sort());
        for (const [key, tensor] of stored) assert.equal(maxRelDiff(back.get(key)!, tensor), 0, key);
      }),
    );
  });
}

test('a text_config inside a whole model has its own prefixes', () => {
  const place = { ours: 'language_model.', model: 'model.language_model.', head: 'lm_head.' };
  const { rules, leftovers } = hfLanguageModel(read('phi-2'), 'config.json', place);
  const theirs = new Map(rules.map((rule) => [rule.ours, rule.theirs[0]]));
  const [attention, norm] = ['language_model.model.layers.1.self_attn.o_proj.bias', 'language_model.model.norm.weight'];
  assert.equal(theirs.get(attention), 'model.language_model.layers.1.self_attn.dense.bias');
  assert.equal(theirs.get(norm), 'model.language_model.final_layernorm.weight');
  assert.equal(theirs.get('language_model.lm_head.bias'), 'lm_head.bias');
  assert.equal(leftovers('lm_head.weight'), undefined, 'an untied head counts');
  const old = { ours: 'language_model.', model: 'language_model.model.', head: 'language_model.lm_head.' };
  const tied = hfLanguageModel(read('qwen3'), 'config.json', old);
  assert.deepEqual(tied.tiedHead?.head.theirs, ['language_model.lm_head.weight']);
  assert.equal(typeof tied.leftovers('language_model.model.layers.0.self_attn.rotary_emb.inv_freq'), 'function');
  assert.equal(tied.leftovers('language_model.model.norm.weight'), undefined);
  assert.ok(tied.rules.every(({ theirs: [name] }) => name!.startsWith('language_model.model.')));
});

test('weights that do not fit are refused by name', () => {
  const cases: [string, RegExp, (weights: Map<string, Tensor>) => void][] = [
    [
      'qwen3',
      /lacks model\.layers\.0\.self_attn\.q_norm\.weight/,
      (w) => w.delete('model.layers.0.self_attn.q_norm.weight'),
    ],
    [
      'qwen2',
      /lacks model\.layers\.1\.self_attn\.k_proj\.bias/,
      (w) => w.delete('model.layers.1.self_attn.k_proj.bias'),
    ],
    ['llama-3.1', /lacks lm_head\.weight/, (w) => w.delete('lm_head.weight')],
    ['llama-3.1', /unexpected .*q_proj\.bias/, (w) => w.set('model.layers.0.self_attn.q_proj.bias', zeros([32]))],
    ['phi-2', /dense\.bias is \[3\], not \[40\]/, (w) => w.set('model.layers.0.self_attn.dense.bias', zeros([3]))],
  ];
  for (const [model, pattern, change] of cases) {
    refuses(() => loadHfLanguageModel(changed(model, change)), pattern, 'weights/keys');
  }
});

test('thousands of foreign keys are refused without a search through all pairs', () => {
  const json = { ...read('llama-3.1'), num_hidden_layers: 60 };
  const folder = changed('llama-3.1', (weights) => {
    for (let i = 0; i < 1000; i++) weights.set(`encoder.layer.${i}.attention.output.dense.weight`, zeros([1]));
  });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(json));
  const started = performance.now();
  refuses(() => loadHfLanguageModel(folder), /and \d+ more/, 'weights/keys');
  assert.ok(performance.now() - started < 10_000);
});

test('sizes that no model has are refused at once', () => {
  for (const [field, value] of [
    ['num_hidden_layers', 1e9],
    ['vocab_size', 1e12],
    ['hidden_size', 2 ** 40],
    ['intermediate_size', 1e15],
    ['num_attention_heads', 1e9],
    ['max_position_embeddings', 1e15],
    ['num_hidden_layers', 0],
    ['num_hidden_layers', 2.5],
    ['num_key_value_heads', 3],
  ] as const) {
    for (const model of types) {
      const started = performance.now();
      refuses(() => hfLanguageModel({ ...read(model), head_dim: null, [field]: value }, 'config.json'), /config\.json/);
      assert.ok(performance.now() - started < 1000, `${field} ${value} in ${model}`);
    }
  }
});

test('fields of other families that change nothing are passed over', () => {
  const neutral = {
    ...{ sliding_window: null, logit_scale: 1, logits_scaling: 1, no_rope_layers: [1, 1], use_qk_norm: false },
    ...{ rope_interleaved: false, layer_types: ['full_attention', 'full_attention'], attention_chunk_size: null },
    ...{ num_hidden_layers: 2, pretraining_tp: 4, attention_dropout: 0.1, use_cache: false, is_llama_config: true },
  };
  const { config } = hfLanguageModel({ ...read('llama-3.1'), ...neutral }, 'config.json');
  const plain = hfLanguageModel({ ...read('llama-3.1'), num_hidden_layers: 2 }, 'config.json');
  assert.deepEqual(config, plain.config);
  hfLanguageModel({ model_type: 'llama', sliding_window: 4096, use_sliding_window: false }, 'config.json');
});

test('unknown types and arithmetic are refused, never guessed', () => {
  refuses(() => hfLanguageModel({ model_type: 'qwen2_moe' }, 'config.json'), /'qwen2_moe'/, 'weights/model-type');
  refuses(() => hfLanguageModel({}, 'config.json'), /'undefined'/, 'weights/model-type');
  refuses(() => hfLanguageModel({ model_type: '__proto__' }, 'config.json'), /__proto__/, 'weights/model-type');
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ model_type: 'llama', rope_scaling: { rope_type: 'longrope', factor: 2 } }, /rope_type/],
    [{ model_type: 'llama', rope_parameters: { full_attention: { rope_theta: 1e4 } } }, /full_attention/],
    [{ model_type: 'qwen2', hidden_act: 'snake' }, /hidden_act/],
    [{ model_type: 'phi', qk_layernorm: true }, /qk_layernorm/],
    [{ model_type: 'gemma2', use_bidirectional_attention: true }, /use_bidirectional_attention/],
    [{ model_type: 'mistral', sliding_window: -1 }, /sliding_window/],
    [{ model_type: 'qwen2', layer_types: ['linear_attention'] }, /layer_types/],
    [{ model_type: 'qwen2', num_hidden_layers: 2, layer_types: ['full_attention'] }, /1 entries for 2 layers/],
    [{ model_type: 'qwen3', num_hidden_layers: 1, layer_types: ['sliding_attention'] }, /and none is set/],
    [
      { model_type: 'mistral', num_hidden_layers: 2, layer_types: ['full_attention', 'sliding_attention'] },
      /layers of both kinds/,
    ],
    [{ model_type: 'llama', layer_types: ['sliding_attention'] }, /'layer_types'/],
    [{ model_type: 'llama', sliding_window: 4096 }, /'sliding_window': 4096/],
    [{ model_type: 'llama', logit_scale: 0.0625 }, /'logit_scale'/],
    [{ model_type: 'llama', logits_scaling: 8 }, /'logits_scaling'/],
    [{ model_type: 'llama', embedding_multiplier: 12 }, /'embedding_multiplier'/],
    [{ model_type: 'llama', residual_multiplier: 0.22 }, /'residual_multiplier'/],
    [{ model_type: 'llama', attention_multiplier: 0.01 }, /'attention_multiplier'/],
    [{ model_type: 'llama', no_rope_layers: [1, 1, 1, 0] }, /'no_rope_layers'/],
    [{ model_type: 'llama', rope_interleaved: true }, /'rope_interleaved'/],
    [{ model_type: 'llama', use_qk_norm: true }, /'use_qk_norm'/],
    [{ model_type: 'mistral', attn_logit_softcapping: 50 }, /'attn_logit_softcapping'/],
    [{ model_type: 'qwen2', final_logit_softcapping: 30 }, /'final_logit_softcapping'/],
    [{ model_type: 'llama', query_pre_attn_scalar: 256, head_dim: 128 }, /'query_pre_attn_scalar'/],
    [{ model_type: 'qwen2', rope_scaling: { type: 'default', mrope_section: [16, 24, 24] } }, /'mrope_section'/],
    [{ model_type: 'llama', rope_scaling: { type: 'linear', factor: 2, short_factor: [1] } }, /'short_factor'/],
    [{ model_type: 'llama', partial_rotary_factor: 1.5 }, /partial_rotary_factor/],
    [{ model_type: 'llama', attention_bias: 'yes' }, /attention_bias/],
  ];
  for (const [json, pattern] of cases) refuses(() => hfLanguageModel(json, 'config.json'), pattern);
});

test('absent fields mean the defaults of each reference', () => {
  const config = (type: string, json = {}): LlamaConfig => hfLanguageModel({ model_type: type, ...json }, 'c').config;
  assert.deepEqual(
    languageModelTypes.map((type) => config(type).maxPositions),
    [2048, 131_072, 32_768, 32_768, 2048, 8192],
  );
  assert.deepEqual(config('mistral').slidingWindow, { size: 4096, layers: 'all' });
  assert.equal(config('mistral', { sliding_window: null }).slidingWindow, undefined);
  assert.equal(config('qwen2', { sliding_window: 4096 }).slidingWindow, undefined, 'it is switched off');
  assert.equal(config('qwen3').headDim, 128);
  assert.equal(config('phi', { hidden_size: 2560, partial_rotary_factor: 0.4 }).rotaryDim, 32);
  const alternating = { size: 4096, layers: [0, 2] };
  assert.deepEqual(config('gemma2', { num_hidden_layers: 4 }).slidingWindow, alternating);
  const yarn = { rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32_768 } };
  assert.equal(config('qwen2', yarn).maxPositions, 131_072);
  const vicuna16k = {
    max_position_embeddings: 4096,
    max_sequence_length: 16_384,
    rope_scaling: { type: 'linear', factor: 4 },
  };
  assert.equal(config('llama', vicuna16k).maxPositions, 16_384);
});

test('generation ends at one id, at several, or at those of config.json', () => {
  const folder = mkdtempSync(join(root, 'generation-'));
  const put = (name: string, json: unknown): void => writeFileSync(join(folder, name), JSON.stringify(json));
  assert.deepEqual(readGenerationConfig(folder), { eosIds: [] });
  put('config.json', { eos_token_id: 2 });
  assert.deepEqual(readGenerationConfig(folder).eosIds, [2]);
  put('config.json', { text_config: { eos_token_id: [7, 8] } });
  assert.deepEqual(readGenerationConfig(folder).eosIds, [7, 8]);
  put('generation_config.json', { eos_token_id: [128_001, 128_009, 128_001], max_new_tokens: 9 });
  assert.deepEqual(readGenerationConfig(folder), { eosIds: [128_001, 128_009], maxNewTokens: 9 });
  put('generation_config.json', { eos_token_id: 'end' });
  refuses(() => readGenerationConfig(folder), /eos_token_id/, 'weights/unsupported');
  assert.equal(readGenerationConfig(join(golden, 'llama-3.1')).eosIds.length, 2);
});

test('loading leaks nothing', () => {
  expectNoLeak(() => loadHfLanguageModel(join(golden, 'gemma-2')).dispose(), { steps: 3 });
});
