/** Weights that another library quantised: told by config.json or by the tensors, and refused by the name of the way. */
import { CommError } from '../../config/errors.js';

/** Values of `quant_method` as their libraries write themselves. */
const NAMES: Readonly<Record<string, string>> = {
  bitsandbytes: 'bitsandbytes',
  gptq: 'GPTQ',
  awq: 'AWQ',
  aqlm: 'AQLM',
  hqq: 'HQQ',
  fp8: 'FP8',
  fbgemm_fp8: 'FP8 (FBGEMM)',
  mxfp4: 'MXFP4',
  'compressed-tensors': 'compressed-tensors',
  torchao: 'torchao',
  quanto: 'Quanto',
  eetq: 'EETQ',
  higgs: 'HIGGS',
  spqr: 'SpQR',
  vptq: 'VPTQ',
  bitnet: 'BitNet',
  auto_round: 'AutoRound',
  'auto-round': 'AutoRound',
  modelopt: 'ModelOpt',
};

/** Tensors that only one way of quantising stores, by the end of their names. */
const SIGNS: readonly (readonly [RegExp, string])[] = [
  [/\.(absmax|quant_map|nested_absmax|nested_quant_map|SCB|quant_state\.\w+)$/, 'bitsandbytes'],
  [/\.(qweight|qzeros|g_idx)$/, 'GPTQ or AWQ'],
  [/\.weight_scale_inv$/, 'FP8'],
  [/\.weight_(packed|zero_point|shape|g_idx)$/, 'compressed-tensors'],
  [/\.(weight_scale|input_scale)$/, 'FP8 or compressed-tensors'],
  [/\.codebooks$/, 'AQLM'],
  [/\.(W_q|W_nbits)$/, 'HQQ'],
  [/\.weight\._(data|scale|shift)$/, 'Quanto'],
  [/_proj_(blocks|scales)$/, 'MXFP4'],
  [/\.(scales|biases)$/, 'MLX'],
];

/** Element types of the files that only quantised weights have. */
const QUANTISED_DTYPE = /^(F8|F6|F4)|float8|float4|qint|quint/;

const FIX =
  'Use the model that it was made from, with --dtype int8 where memory is short. Where the weights are floats all the same, remove that field.';

/** Throws a CommError when a foreign config.json says that its weights are quantised. */
export function refuseQuantisedConfig(json: Record<string, unknown>, source: string): void {
  for (const part of [json, json['text_config'], json['vision_config']]) {
    const found = statedBy(part);
    if (found === undefined) continue;
    const [field, way] = found;
    throw new CommError(`The weights of ${source} are quantised by ${way} (${field}), which is not read.`, {
      code: 'weights/quantised',
      fix: FIX,
    });
  }
}

function statedBy(part: unknown): readonly [field: string, way: string] | undefined {
  if (typeof part !== 'object' || part === null) return undefined;
  for (const field of ['quantization_config', 'compression_config', 'quantization']) {
    const value = (part as Record<string, unknown>)[field];
    if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) continue;
    return [field, field === 'quantization' ? 'MLX' : wayOf(value as Record<string, unknown>)];
  }
  return undefined;
}

function wayOf(config: Record<string, unknown>): string {
  const { quant_method: method } = config;
  const bits = config['load_in_4bit'] === true ? ' (4 bits)' : config['load_in_8bit'] === true ? ' (8 bits)' : '';
  if (typeof method === 'string') return `${Object.hasOwn(NAMES, method) ? NAMES[method] : method}${bits}`;
  if (bits !== '') return `bitsandbytes${bits}`;
  return 'config_groups' in config ? 'compressed-tensors' : 'a way that it does not name';
}

/** The way of quantising that stored tensors show; undefined for plain ones. */
export function quantisedBy(keys: readonly string[]): string | undefined {
  for (const [sign, way] of SIGNS) if (keys.some((key) => sign.test(key))) return way;
  return undefined;
}

/** The error of a file whose tensors show it. */
export const quantisedWeights = (file: string, way: string): CommError =>
  new CommError(`The weights in ${file} are quantised by ${way}, which is not read.`, {
    code: 'weights/quantised',
    fix: 'Use the model that it was made from, with --dtype int8 where memory is short.',
  });

/** The error of a tensor whose element type no number here has. */
export const unreadDtype = (file: string, key: string, dtype: string): CommError =>
  QUANTISED_DTYPE.test(dtype)
    ? quantisedWeights(file, dtype)
    : new CommError(`The tensor '${key}' in ${file} is stored as ${dtype}, which is not read.`, {
        code: 'weights/dtype',
        fix: 'Store it as f32, bf16 or f16 with the library that wrote it.',
      });
