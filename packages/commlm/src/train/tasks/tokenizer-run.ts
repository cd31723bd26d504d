/** Trains the embedded model's tokenizer on the texts of the synthetic world. */
import { join } from 'node:path';
import type { TokenizerRecipeConfig } from '../../config/tokenizer-train.js';
import { loadSpriteBank } from '../../data/world/index.js';
import { writeDurably, writeJson } from '../../files/durable.js';
import { writeFolder } from '../../files/whole-folder.js';
import { trainTokenizer } from './tokenizer-trainer.js';
import { worldTexts } from './world-texts.js';

/** Write `tokenizer.json`, `tokenizer_config.json` and `generation_config.json` into `out/result`. */
export async function runTokenizer(
  config: TokenizerRecipeConfig,
  out: string,
  log: (line: string) => void,
): Promise<void> {
  const folder = join(out, 'result');
  log(`reading the texts of ${config.scenes} scenes`);
  const { tokenizerJson, tokenizerConfig } = trainTokenizer(
    worldTexts(await loadSpriteBank(), config.scenes, config.seed),
    {
      vocabSize: config.vocabSize,
      specialTokens: [...config.specialTokens],
    },
  );
  const ids = Object.fromEntries(config.specialTokens.map((token, id) => [token, id]));
  const generation = {
    bos_token_id: ids['<s>'],
    eos_token_id: ids['</s>'],
    pad_token_id: ids['<unk>'],
    do_sample: false,
    max_new_tokens: config.maxNewTokens,
  };
  const write = (part: string): void => {
    writeDurably(join(part, 'tokenizer.json'), `${JSON.stringify(tokenizerJson, null, 1)}\n`);
    writeJson(join(part, 'tokenizer_config.json'), tokenizerConfig);
    writeJson(join(part, 'generation_config.json'), generation);
  };
  writeFolder(folder, write, { replace: false });
  log(`wrote ${folder}`);
}
