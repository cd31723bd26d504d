/** Pre-training of a language model on texts alone: the next token of packed rows. */
import { F, type nn, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { parseConfig } from '../../config/model.js';
import { LmConfig, type TextData } from '../../config/pretrain.js';
import type { LoopConfig } from '../../config/train.js';
import { Llama } from '../../models/llama.js';
import { llamaToHf } from '../../weights/layouts/hf-llama.js';
import { saveHfLlama } from '../../weights/layouts/hf-llama-folder.js';
import { BatchPool, type RawBatch } from '../loop/batch-pool.js';
import type { BatchFacts, BatchSource, Losses, TrainingTask } from '../loop/loop.js';
import { place } from '../loop/placement.js';
import type { LmBatchOptions } from './lm-batches.js';

// Shapes: B rows, T tokens, V vocabulary.

/** Rows of ids [B, T]. */
export interface LmBatch extends RawBatch {
  readonly ids: BigInt64Array;
}

/** Cross-entropy of each token but the first of its row: logits float[B, T, V], ids i64[B, T] -> scalar. */
export function nextTokenLoss(logits_BTV: Tensor, ids_BT: Tensor): Tensor {
  return scope(() => {
    const [, t] = ids_BT.shape as [number, number];
    const predicted = logits_BTV.narrow(1, 0, t - 1).flatten(0, 1);
    return F.crossEntropy(predicted.to('f32'), ids_BT.narrow(1, 1, t - 1).flatten());
  });
}

/** Next-token pre-training as a task of the training loop. */
export class LmTask implements TrainingTask<LmBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly evaluate?: (step: number, signal?: AbortSignal) => Promise<Readonly<Record<string, number>>>;
  readonly #config: LmConfig;
  readonly #batchSize: number;
  readonly #model: Llama;

  constructor(config: LmConfig, { batchSize }: Pick<LoopConfig, 'batchSize'>) {
    this.#config = parseConfig(LmConfig, config, 'The recipe');
    this.#batchSize = batchSize;
    const { model, rowLength, held } = config;
    // What cannot be written at the end is refused at the start.
    llamaToHf(model);
    if (rowLength > model.maxPositions) {
      throw new CommError(`Rows have ${rowLength} tokens, but the model reads at most ${model.maxPositions}.`, {
        code: 'train/row-length',
        fix: `Set lm.rowLength=${model.maxPositions}.`,
        exitCode: 2,
      });
    }
    this.#model = place(new Llama(model), config);
    this.parts = new Map([['languageModel', this.#model]]);
    if (held !== null) this.evaluate = (_step, signal) => this.#measure(held, signal);
  }

  openBatches(start: number): BatchSource<LmBatch> {
    return this.#open(this.#config.data, start, 'train');
  }

  loss(batch: LmBatch): Losses {
    return { loss: this.#lossOf(batch), metrics: {} };
  }

  describe({ ids }: LmBatch): BatchFacts {
    return { tokens: ids.length };
  }

  /** Writes a folder of transformers' Llama with the tokenizer beside it. */
  export(folder: string): void {
    saveHfLlama(folder, this.#model, { tokenizer: this.#config.tokenizer, dtype: 'f32' });
  }

  #open(data: TextData, start: number, split: LmBatchOptions['split']): BatchPool<LmBatch> {
    const { tokenizer, rowLength } = this.#config;
    const options: LmBatchOptions = { tokenizer, batchSize: this.#batchSize, rowLength, data, split };
    return new BatchPool<LmBatch>(new URL('./lm-batches.js', import.meta.url), options, { start });
  }

  #lossOf({ ids }: LmBatch): Tensor {
    const { rowLength, device } = this.#config;
    const ids_BT = tensor(ids, { shape: [this.#batchSize, rowLength] }).to(device);
    return nextTokenLoss(this.#model.forward(ids_BT), ids_BT);
  }

  /** Loss and perplexity of unseen rows. */
  async #measure(
    { data, batches: numBatches }: NonNullable<LmConfig['held']>,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, number>>> {
    const batches = this.#open(data, 0, 'test');
    let sum = 0;
    try {
      for (let index = 0; index < numBatches; index++) {
        const batch = await batches.next();
        signal?.throwIfAborted();
        sum += scope(() => noGrad(() => this.#lossOf(batch).item()));
      }
    } finally {
      await batches.close();
    }
    const loss = sum / numBatches;
    return { loss, perplexity: Math.exp(loss) };
  }
}
