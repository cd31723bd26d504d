/** Reading foreign `config.json` files: the fields that decide shapes and arithmetic are checked, the rest is left alone. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Device, DType } from '@commlm/torch';
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import { readJson } from '../../files/read.js';

/** Where loaded weights end up; by default on the CPU in the dtype that they are stored in. */
export interface LoadOptions {
  readonly dtype?: DType;
  readonly device?: Device;
}

/** What the files of a model folder are, for the sentence of an error. */
const DESCRIBES: Readonly<Record<string, string>> = {
  'config.json': 'the configuration of a model',
  'adapter_config.json': 'the configuration of an adapter',
  'generation_config.json': 'the settings of generation',
  'preprocessor_config.json': 'the preparation of pictures',
  'processor_config.json': 'the preparation of pictures',
  'tokenizer.json': 'the tokenizer',
};

/** A JSON object of a model folder; throws a CommError when it is missing, no JSON, or no file at all (a pipe, a page in its place). */
export function readFolderJson(folder: string, name: string): Record<string, unknown> {
  const path = join(folder, name);
  if (!existsSync(path)) {
    throw new CommError(`${folder} has no ${name}.`, {
      code: 'weights/missing-file',
      fix: 'Name a model folder in Hugging Face layout.',
    });
  }
  const json = readJson(path, { what: DESCRIBES[name] ?? 'a description of the model' });
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  throw new CommError(`${path} holds no JSON object.`, { code: 'weights/bad-json', fix: 'Get the file again.' });
}

/** Checks a foreign config against the fields that an adapter reads; throws a CommError that names the field. */
export function readForeign<Shape extends z.ZodType>(schema: Shape, json: unknown, source: string): z.output<Shape> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new CommError(`${source} has a field that is not supported: '${path.join('.')}': ${message}.`, {
    code: 'weights/unsupported',
    fix: 'This checkpoint needs arithmetic that is not implemented, or its config.json is damaged.',
  });
}

/** Activation names of transformers. */
export const HfActivation = z
  .enum(['gelu', 'quick_gelu', 'gelu_pytorch_tanh', 'gelu_new', 'silu', 'swish', 'relu'])
  .transform((name) => {
    if (name === 'gelu_pytorch_tanh' || name === 'gelu_new') return 'gelu_tanh' as const;
    return name === 'swish' ? ('silu' as const) : name;
  });

/** A side in pixels; newer configs may say it as [height, width], which must be equal here. */
export const HfSide = z.union([
  z.int().positive(),
  z
    .tuple([z.int().positive(), z.int().positive()])
    .refine(([height, width]) => height === width, 'height and width must be equal')
    .transform(([height]) => height),
]);

/** The sizes that every ViT of transformers names alike, under our names. */
export const vitSizes = (hf: {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly num_channels: number;
  readonly image_size: number;
  readonly patch_size: number;
}) => ({
  hiddenSize: hf.hidden_size,
  numLayers: hf.num_hidden_layers,
  numHeads: hf.num_attention_heads,
  intermediateSize: hf.intermediate_size,
  numChannels: hf.num_channels,
  imageSize: hf.image_size,
  patchSize: hf.patch_size,
});
