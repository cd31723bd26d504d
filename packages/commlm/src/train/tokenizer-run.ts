/** Trains the embedded model's tokenizer on the texts of the synthetic world. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { worldTexts } from './world-texts.js';
import { trainTokenizer } from './tokenizer-trainer.js';

/** Settings of a tokenizer run. */
export interface TokenizerRecipeConfig {
  readonly vocabSize: number;
  readonly specialTokens: readonly string[];
  /** Scenes whose texts are read. */
  readonly scenes: number;
  readonly seed: number;
}

/** Write `tokenizer.json` and `tokenizer_config.json` into `out/result`. */
export function runTokenizer(config: TokenizerRecipeConfig, out: string, log: (line: string) => void): void {
  const folder = join(out, 'result');
  mkdirSync(folder, { recursive: true });
  log(`reading the texts of ${config.scenes} scenes`);
  const { tokenizerJson, tokenizerConfig } = trainTokenizer(worldTexts(config.scenes, config.seed), {
    vocabSize: config.vocabSize,
    specialTokens: [...config.specialTokens],
  });
  writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizerJson, null, 1)}\n`);
  writeFileSync(join(folder, 'tokenizer_config.json'), `${JSON.stringify(tokenizerConfig, null, 2)}\n`);
  log(`wrote ${folder}`);
}
