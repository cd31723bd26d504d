/** Opens encoders and language models that other libraries wrote, by the `model_type` of their config.json. */
import { join } from 'node:path';
import { type Device, type DType, nn, scope } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { LlamaConfig } from '../config/model.js';
import { Llama } from '../models/llama.js';
import { readFolderJson } from './hf-config.js';
import { llamaConfig, llamaIgnorable } from './hf-llama.js';
import { checkKeys } from './key-rules.js';
import { WeightFiles } from './weight-files.js';

export { type LoadedEncoder, loadHfEncoder } from './encoder-reader.js';
export { encoderToHf } from './hf-encoder.js';

/** Where loaded weights end up; by default on the CPU in the dtype that they are stored in. */
export interface LoadOptions {
  readonly dtype?: DType;
  readonly device?: Device;
}

/** Reads a Llama folder; missing, unexpected or misshaped tensors stop it with a CommError. Gradients are off. */
export function loadHfLlama(folder: string, options: LoadOptions = {}): Llama {
  const json = readFolderJson(folder, 'config.json');
  if (json['model_type'] !== 'llama') {
    throw new CommError(`${folder} holds a model of type '${String(json['model_type'])}', not a Llama.`, {
      code: 'weights/model-type',
      fix: "Name a folder whose config.json says model_type 'llama'.",
    });
  }
  const config: LlamaConfig = llamaConfig(json, join(folder, 'config.json'));
  using files = WeightFiles.open(folder);
  const model = nn.onMeta(() => new Llama(config));
  scope(() => {
    const state = model.stateDict();
    checkKeys(files, new Map([...state].map(([key, { shape }]) => [key, shape])), llamaIgnorable(config));
    model.loadStateDict(new Map([...state.keys()].map((key) => [key, files.tensor(key)])), { assign: true });
    model.to(target(options)).requiresGrad_(false).eval();
  });
  return model;
}

const target = ({ dtype, device }: LoadOptions): { dtype?: DType; device?: Device } => ({
  ...(dtype === undefined ? {} : { dtype }),
  ...(device === undefined ? {} : { device }),
});
