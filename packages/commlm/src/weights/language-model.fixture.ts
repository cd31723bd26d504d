/** A small language model in a folder, for tests. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { io, manualSeed, scope } from '@commlm/torch';
import type { LlamaConfig } from '../config/model.js';
import { Llama } from '../models/llama.js';
import { smallLlama } from '../models/sample-configs.fixture.js';

const golden = fileURLToPath(new URL('../../../../tests/golden', import.meta.url));

/** A folder below `root` with a language model in transformers' layout and a SentencePiece tokenizer of 420 tokens, as Vicuna has it. */
export function languageModel(root: string, changes: Partial<LlamaConfig> = {}): string {
  const folder = mkdtempSync(join(root, 'llm-'));
  const config = smallLlama({ vocabSize: 420, tieWordEmbeddings: false, ...changes });
  scope(() => {
    manualSeed(3);
    const model = new Llama(config);
    io.writeSafetensors(join(folder, 'model.safetensors'), model.stateDict());
    model.dispose();
  });
  const json = {
    model_type: 'llama',
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    tie_word_embeddings: config.tieWordEmbeddings,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(json));
  writeFileSync(
    join(folder, 'tokenizer.model'),
    gunzipSync(readFileSync(join(golden, 'sentencepiece/bpe-llama.model.gz'))),
  );
  return folder;
}
