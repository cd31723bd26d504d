/** Writes a language model as transformers' Llama: our keys are its keys. */
import { join } from 'node:path';
import type { DType } from '@commlm/torch';
import { writeJson } from '../../files/durable.js';
import type { Llama } from '../../models/llama.js';
import { copyTokenizer, writeWeights } from '../comm-folder.js';
import { llamaToHf } from './hf-llama.js';

/** Options of `saveHfLlama`. */
export interface SaveLlamaOptions {
  /** Folder whose tokenizer files are copied. */
  readonly tokenizer: string;
  readonly dtype: DType;
}

/** Writes config, weights and tokenizer; config.json last. @throws CommError for a model that Llama's layout cannot say. */
export function saveHfLlama(folder: string, model: Llama, { tokenizer, dtype }: SaveLlamaOptions): void {
  const config = llamaToHf(model.config);
  const weights = [...model.stateDict()].map(([key, tensor]) => ({
    ...{ key, shape: tensor.shape, dtype: tensor.dtype },
    load: () => tensor.detach(),
  }));
  writeWeights(folder, weights, { dtype });
  copyTokenizer(tokenizer, folder);
  writeJson(join(folder, 'config.json'), config);
}
