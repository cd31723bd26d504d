/** The readers of files from outside, each with good files to damage and the way that a user reaches it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { io, scope } from '@commlm/torch';
import type { TokenizerJson } from '../../packages/commlm/dist/text/tokenizer-files.js';

/** Inner modules of the product, which its public entry does not offer; found from the compiled test. */
const inner = (path: string): string => new URL(`../../../packages/commlm/dist/${path}`, import.meta.url).href;
const { SentencePieceModel } = (await import(
  inner('text/sentencepiece.js')
)) as typeof import('../../packages/commlm/dist/text/sentencepiece.js');
const { Tokenizer } = (await import(
  inner('text/tokenizer.js')
)) as typeof import('../../packages/commlm/dist/text/tokenizer.js');
const { clipConfig } = (await import(
  inner('weights/layouts/hf-clip.js')
)) as typeof import('../../packages/commlm/dist/weights/layouts/hf-clip.js');
const { readFolderJson } = (await import(
  inner('weights/files/hf-config.js')
)) as typeof import('../../packages/commlm/dist/weights/files/hf-config.js');
const { dinov2Config } = (await import(
  inner('weights/layouts/hf-dinov2.js')
)) as typeof import('../../packages/commlm/dist/weights/layouts/hf-dinov2.js');
const { hfLanguageModel } = (await import(
  inner('weights/layouts/hf-language.js')
)) as typeof import('../../packages/commlm/dist/weights/layouts/hf-language.js');
const { llamaConfig } = (await import(
  inner('weights/layouts/hf-llama.js')
)) as typeof import('../../packages/commlm/dist/weights/layouts/hf-llama.js');
const { readGenerationConfig } = (await import(
  inner('weights/files/generation-config.js')
)) as typeof import('../../packages/commlm/dist/weights/files/generation-config.js');

/** One reader: `read` gets damaged bytes and a folder of its own to put them into. */
export interface Reader {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  readonly read: (bytes: Uint8Array, folder: string) => void | Promise<void>;
}

const golden = (name: string): Uint8Array => readFileSync(new URL(`../../golden/${name}`, import.meta.url));

/** A value small enough that looking at all of it is cheap. */
const MAX_ELEMENTS = 10_000;

function readAll(file: io.TorchFile | io.SafetensorsFile): void {
  scope(() => {
    for (const key of file.keys.slice(0, 20)) {
      const { shape } = file.info(key);
      const tensor = file.tensor(key);
      if (shape.reduce((product, size) => product * size, 1) <= MAX_ELEMENTS) tensor.to('f32').sum().item();
    }
  });
}

function tokenizerSeeds(): Uint8Array[] {
  const all = JSON.parse(Buffer.from(golden('text/tokenizers.json')).toString()) as { tokenizerJson: TokenizerJson }[];
  return all.map(({ tokenizerJson }) => Buffer.from(JSON.stringify(tokenizerJson)));
}

/** All readers; files are made anew for each input, since a mapped file must not change. */
export function listReaders(): Reader[] {
  let numFiles = 0;
  const write = (bytes: Uint8Array, folder: string, ending: string): string => {
    const path = `${folder}/input-${numFiles++ % 4}${ending}`;
    writeFileSync(path, bytes);
    return path;
  };
  const torchNames = ['dtypes', 'layouts', 'checkpoint', 'tensor'].flatMap((name) => [
    `${name}.pt`,
    `${name}-legacy.pt`,
  ]);
  const models = ['bpe-llama', 'bpe-symbols', 'unigram-bytes', 'unigram-nfkc'];
  const languages = ['qwen2.5-yarn-tied', 'qwen3', 'mistral-v0.1', 'phi-2', 'gemma-2', 'llama-3.1'];
  const configs = ['clip', 'dinov2', 'dinov2-swiglu', 'llama', 'llama-rope-llama3'];
  return [
    {
      name: 'safetensors',
      seeds: ['clip', 'llama'].map((name) => golden(`models/${name}/model.safetensors`)),
      read: (bytes, folder) => {
        using file = io.openSafetensors(write(bytes, folder, '.safetensors'));
        readAll(file);
      },
    },
    {
      name: 'torch file',
      seeds: [...torchNames, 'protocol-4.pt', 'evil.pt', 'float8.pt'].map((name) => golden(`torch-files/${name}`)),
      read: (bytes, folder) => {
        using file = io.openTorchFile(write(bytes, folder, '.pt'));
        readAll(file);
      },
    },
    {
      name: 'SentencePiece',
      seeds: models.map((name) => gunzipSync(golden(`sentencepiece/${name}.model.gz`))),
      read: (bytes) => {
        new SentencePieceModel(bytes).encode('A dog  and ½ 🐘 [img]\n');
        const tokenizer = Tokenizer.fromSentencePiece(bytes);
        tokenizer.decode(tokenizer.encode('A café </s> dog'));
      },
    },
    {
      name: 'tokenizer.json',
      seeds: tokenizerSeeds(),
      read: async (bytes, folder) => {
        writeFileSync(`${folder}/tokenizer.json`, bytes);
        const tokenizer = await Tokenizer.load(folder);
        tokenizer.decode(tokenizer.encode('A café </s> dog'));
      },
    },
    {
      name: 'config.json',
      seeds: configs.map((name) => golden(`models/${name}/config.json`)),
      read: (bytes, folder) => {
        writeFileSync(`${folder}/config.json`, bytes);
        const json = readFolderJson(folder, 'config.json');
        for (const config of [clipConfig, dinov2Config, llamaConfig]) {
          try {
            config(json, 'config.json');
          } catch (error) {
            if (config === llamaConfig || !(error instanceof Error) || error.name !== 'CommError') throw error;
          }
        }
      },
    },
    {
      name: 'config.json of a language model',
      seeds: languages.flatMap((name) => [
        golden(`language/${name}/config.json`),
        golden(`language/${name}/generation_config.json`),
      ]),
      read: (bytes, folder) => {
        writeFileSync(`${folder}/config.json`, bytes);
        writeFileSync(`${folder}/generation_config.json`, bytes);
        readGenerationConfig(folder);
        hfLanguageModel(readFolderJson(folder, 'config.json'), 'config.json');
      },
    },
  ];
}
