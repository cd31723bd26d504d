/** Data thread of next-token pre-training: rows of token ids. */
import type { LmConfig } from '../../config/pretrain.js';
import type { Split } from '../../data/world/index.js';
import { Tokenizer } from '../../text/tokenizer.js';
import type { CreateBatcher } from '../loop/batch-pool.js';
import type { LmBatch } from './lm-task.js';
import { openRows } from './token-rows.js';

/** What the data thread needs to know. */
export type LmBatchOptions = Pick<LmConfig, 'tokenizer' | 'rowLength' | 'data'> & {
  readonly batchSize: number;
  readonly split: Split;
};

export const createBatcher: CreateBatcher<LmBatchOptions> = async (options) => {
  const { tokenizer, batchSize, rowLength, data, split } = options;
  const rows = await openRows(data, await Tokenizer.load(tokenizer), rowLength, split);
  return (index): LmBatch => {
    const ids = new BigInt64Array(batchSize * rowLength);
    for (let r = 0; r < batchSize; r++) {
      for (const [t, id] of rows(index * batchSize + r).entries()) ids[r * rowLength + t] = BigInt(id);
    }
    return { ids };
  };
};
