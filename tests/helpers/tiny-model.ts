/** A whole COMM with random weights, small enough to be made in a test: two towers, fusion, decoder, byte tokenizer. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { manualSeed, nn, noGrad, scope } from '@commlm/torch';
import { Comm, type CommConfig, CommConfig as CommSchema, presets, saveCommFolder } from 'commlm';

/** Visual tokens of a picture in the tiny model. */
export const TOKENS_PER_IMAGE = 16;

const SPECIAL_TOKENS = ['<unk>', '<s>', '</s>', '<im_patch>', '<im_start>', '<im_end>'];

/** The 256 letters that stand for bytes in byte-level vocabularies: printable bytes as they are, the others from U+0100 on. */
function byteLetters(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

/** Files of a tokenizer with one token a byte. */
function writeTokenizer(folder: string): void {
  const letters = byteLetters();
  const vocab = Object.fromEntries([...SPECIAL_TOKENS, ...letters].map((token, id) => [token, id]));
  const added = SPECIAL_TOKENS.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges: [] },
  };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  const names = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<unk>' };
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(names));
}

/** The preset of the embedded model at a fraction of its size. */
export function tinyConfig(): CommConfig {
  const config = structuredClone(
    presets.commTiny({
      vocabSize: SPECIAL_TOKENS.length + 256,
      imageTokens: { kind: 'wrapped', patchId: 3, startId: 4, endId: 5 },
    }),
  );
  for (const [i, encoder] of config.vision.encoders.entries()) {
    Object.assign(encoder.vit, {
      hiddenSize: 48,
      numLayers: 3,
      numHeads: 3,
      intermediateSize: 96,
      imageSize: 32,
      patchSize: 8,
      stem: { kind: 'conv', strides: [4, 2], channels: [24] },
    });
    encoder.vit.posEmbed = { kind: 'learned', grid: [4, 4], antialias: false };
    encoder.image.size = 32;
    encoder.levels = { from: i === 0 ? 1 : 2, to: 3 };
    if (encoder.merge.kind === 'lln-layerscale') encoder.merge.width = 48;
  }
  Object.assign(config.textConfig, {
    hiddenSize: 64,
    intermediateSize: 96,
    numLayers: 2,
    numHeads: 4,
    numKvHeads: 2,
    headDim: 16,
  });
  return CommSchema.parse(config);
}

/** Settings of `makeTinyModel`. */
export interface TinyModelOptions {
  readonly seed?: number;
  /** Puts a NaN into one weight. */
  readonly broken?: boolean;
  /** Makes the tokens of the second tower the same for all pictures and patches. */
  readonly constant?: boolean;
}

/** Writes a random model into a new temporary folder and gives its path; the same seed gives the same weights. */
export function makeTinyModel({ seed = 1, broken = false, constant = false }: TinyModelOptions = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-tiny-'));
  writeTokenizer(folder);
  scope(() =>
    noGrad(() => {
      manualSeed(seed);
      const model = new Comm(tinyConfig());
      // Weights of unit gain: the answers of fresh, small ones would hardly depend on what is asked.
      for (const parameter of model.parameters()) {
        if (parameter.ndim === 2) nn.init.normal_(parameter, 0, 1.5 / Math.sqrt(parameter.shape[1] as number));
      }
      if (broken) model.projector.parameters()[0]?.fill_(Number.NaN);
      if (constant) {
        for (const [key, parameter] of model.vision.encoders[1]!.vit.namedParameters()) {
          if (key === 'pos_embed' || key.startsWith('patch_embed.')) parameter.fill_(0);
        }
      }
      saveCommFolder(folder, model);
      model.dispose();
    }),
  );
  return folder;
}
