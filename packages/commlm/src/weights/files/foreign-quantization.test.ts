/** Quantised weights of other libraries are named as that, by config.json or by their tensors. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, scope, type Tensor, zeros } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { loadHfEncoder, loadHfLlama } from '../hf-folder.js';
import { mergeLora } from '../lora.js';
import { openModel } from '../open-model.js';
import { refuseQuantisedConfig } from './foreign-quantization.js';

const golden = fileURLToPath(new URL('../../../../../tests/golden', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'quantised-'));
after(() => rmSync(root, { recursive: true, force: true }));

function refuses(run: () => unknown, way: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof CommError, String(error));
    assert.equal(error.code, 'weights/quantised', error.message);
    assert.match(error.message, way);
    assert.match(error.fix ?? '', /--dtype int8/);
    return true;
  });
}

function withConfig(from: string, change: object): string {
  const folder = mkdtempSync(join(root, 'model-'));
  cpSync(join(golden, from), folder, { recursive: true });
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...change }));
  return folder;
}

test('the way is named as config.json states it', () => {
  const cases: [object, RegExp][] = [
    [{ quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } }, /by bitsandbytes \(4 bits\)/],
    [{ quantization_config: { load_in_8bit: true } }, /by bitsandbytes \(8 bits\)/],
    [{ quantization_config: { quant_method: 'gptq', bits: 4 } }, /by GPTQ/],
    [{ quantization_config: { quant_method: 'awq', bits: 4 } }, /by AWQ/],
    [{ quantization_config: { quant_method: 'fp8', fmt: 'e4m3' } }, /by FP8/],
    [{ quantization_config: { quant_method: 'compressed-tensors' } }, /by compressed-tensors/],
    [{ compression_config: { config_groups: {} } }, /by compressed-tensors \(compression_config\)/],
    [{ quantization_config: { quant_method: 'hqq' } }, /by HQQ/],
    [{ quantization_config: { quant_method: 'mxfp4' } }, /by MXFP4/],
    [{ quantization_config: { quant_method: 'torchao' } }, /by torchao/],
    [{ quantization_config: { quant_method: 'of_next_year' } }, /by of_next_year/],
    [{ quantization: { group_size: 64, bits: 4 } }, /by MLX/],
    [{ text_config: { quantization_config: { quant_method: 'awq' } } }, /by AWQ/],
  ];
  for (const [json, way] of cases)
    refuses(() => refuseQuantisedConfig(json as Record<string, unknown>, 'config.json'), way);
  for (const json of [{}, { quantization_config: null }, { quantization_config: {} }, { text_config: {} }]) {
    refuseQuantisedConfig(json, 'config.json');
  }
});

test('whole models, language models, encoders and merging look at it', () => {
  const change = { quantization_config: { quant_method: 'gptq', bits: 4 } };
  refuses(() => openModel(withConfig('whole/llava', change)), /GPTQ/);
  refuses(() => openModel(withConfig('whole/llava-original', change)), /GPTQ/);
  refuses(() => loadHfLlama(withConfig('models/llama', change)), /GPTQ/);
  refuses(() => loadHfEncoder(withConfig('models/clip', change)), /GPTQ/);
  const base = withConfig('models/llama', change);
  refuses(() => mergeLora(base, join(golden, 'lora/llama'), join(root, 'out')), /GPTQ/);
});

test('tensors tell it where config.json is silent', () => {
  const layer = 'model.layers.0.self_attn.q_proj';
  const cases: [string[], RegExp][] = [
    [['.qweight', '.qzeros', '.scales', '.g_idx'], /GPTQ or AWQ/],
    [['.weight', '.weight.absmax', '.weight.quant_map', '.weight.quant_state.bitsandbytes__nf4'], /bitsandbytes/],
    [['.weight', '.SCB'], /bitsandbytes/],
    [['.weight', '.weight_scale_inv'], /FP8/],
    [['.weight_packed', '.weight_scale', '.weight_shape'], /compressed-tensors/],
    [['.codes', '.codebooks', '.scales'], /AQLM/],
    [['.weight', '.scales', '.biases'], /MLX/],
  ];
  for (const [names, way] of cases) {
    const folder = withConfig('models/llama', {});
    scope(() => {
      const weights = new Map<string, Tensor>(io.readSafetensors(join(golden, 'models/llama/model.safetensors')));
      weights.delete(`${layer}.weight`);
      for (const name of names) weights.set(layer + name, zeros([2, 2], { dtype: 'u8' }));
      rmSync(join(folder, 'model.safetensors'));
      io.writeSafetensors(join(folder, 'model.safetensors'), weights, { format: 'pt' });
    });
    refuses(() => loadHfLlama(folder), way);
  }
});

test('element types that only quantised weights have are named', () => {
  const folder = mkdtempSync(join(root, 'fp8-'));
  mkdirSync(folder, { recursive: true });
  cpSync(join(golden, 'models/llama/config.json'), join(folder, 'config.json'));
  const header = JSON.stringify({
    'model.embed_tokens.weight': { dtype: 'F8_E4M3', shape: [2, 2], data_offsets: [0, 4] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(join(folder, 'model.safetensors'), Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]));
  // What is missing is said first; the only tensor is of a type that tells why.
  assert.throws(() => loadHfLlama(folder), /F8_E4M3|lacks/);
  refuses(() => openModel(fp8Llava()), /F8_E4M3/);
});

/** The golden LLaVA with one matrix stored in 8-bit floats. */
function fp8Llava(): string {
  const folder = withConfig('whole/llava', {});
  const path = join(folder, 'model.safetensors');
  const bytes = readFileSync(path);
  const headerBytes = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  // A matrix of f32 taken for one of four times as many numbers of 8 bits.
  const key = Object.keys(header).find((name) => name.endsWith('q_proj.weight'))!;
  const entry = header[key]!;
  header[key] = { ...entry, dtype: 'F8_E4M3', shape: [entry.shape[0]! * 4, entry.shape[1]!] };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, bytes.subarray(8 + headerBytes)]));
  return folder;
}
