/** Trains the embedded model's tokenizer on the texts of the synthetic world. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSpriteBank } from '../data/world/index.js';
import { trainTokenizer } from './tokenizer-trainer.js';
import { worldTexts } from './world-texts.js';

/** Settings of a tokenizer run. */
export interface TokenizerRecipeConfig {
  readonly vocabSize: number;
  readonly specialTokens: readonly string[];
  /** Scenes whose texts are read. */
  readonly scenes: number;
  readonly seed: number;
}

/** Write `tokenizer.json` and `tokenizer_config.json` into `out/result`. */
export async function runTokenizer(
  config: TokenizerRecipeConfig,
  out: string,
  log: (line: string) => void,
): Promise<void> {
  const folder = join(out, 'result');
  mkdirSync(folder, { recursive: true });
  log(`reading the texts of ${config.scenes} scenes`);
  const { tokenizerJson, tokenizerConfig } = trainTokenizer(
    worldTexts(await loadSpriteBank(), config.scenes, config.seed),
    {
      vocabSize: config.vocabSize,
      specialTokens: [...config.specialTokens],
    },
  );
  writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizerJson, null, 1)}\n`);
  writeFileSync(join(folder, 'tokenizer_config.json'), `${JSON.stringify(tokenizerConfig, null, 2)}\n`);
  log(`wrote ${folder}`);
}
