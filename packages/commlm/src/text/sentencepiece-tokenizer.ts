/**
 * A folder that has `tokenizer.model` only: the model in the places where tokenizer.json would have a normaliser and a
 * vocabulary, with the rules of Llama-type tokenizers for the space in front of a text.
 */
import type { AddedTokenJson } from './added-tokens.js';
import type { SentencePieceModel } from './sentencepiece.js';
import type { TokenizerEngine } from './tokenizer-engine.js';
import type { TokenizerConfig, TokenizerJson } from './tokenizer-files.js';

const SPACE = '\u2581';

/**
 * The engine of a model. The older rule of Llama and Vicuna puts a space before every stretch of text between added
 * tokens, the newer one (`"legacy": false`) before the first only.
 */
export function sentencePieceEngine(model: SentencePieceModel, config: TokenizerConfig): TokenizerEngine {
  const prefix = model.addDummyPrefix && config['add_prefix_space'] !== false;
  const legacy = config['legacy'] !== false;
  return {
    normalize: (text) => model.normalize(text, prefix && legacy),
    encode(text, first) {
      const prepends = prefix && !legacy && first && text !== '' && !text.startsWith(SPACE);
      return model.segment(prepends ? SPACE + text : text);
    },
    ids: new Map(model.pieces.map(({ text }, id) => [text, id])),
    // The model itself never gives its control pieces, nor symbols that look like markup.
    withhold: () => {},
  };
}

/** The fields of tokenizer.json and tokenizer_config.json that the model itself knows; `config` goes first. */
export function describeSentencePiece(
  model: SentencePieceModel,
  config: TokenizerConfig,
  isMarkup: (spelling: string) => boolean,
): { json: TokenizerJson; config: TokenizerConfig } {
  // Symbols of a user's making that do not look like markup are the model's own affair.
  const added = model.pieces.flatMap(({ text, kind }, id) =>
    kind === 'control' || kind === 'unknown' || (kind === 'user-defined' && isMarkup(text))
      ? [{ id, content: text, special: kind !== 'user-defined', normalized: false }]
      : [],
  );
  const prefix = model.addDummyPrefix && config['add_prefix_space'] !== false;
  const strip = prefix || model.removeExtraWhitespaces;
  const decoders = [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(strip ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ];
  const piece = (id: number): { content: string } | null => {
    const found = model.pieces[id];
    return found === undefined ? null : { content: found.text };
  };
  return {
    json: {
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Sequence', decoders },
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(model.pieces.map(({ text }, id) => [text, id])),
        byte_fallback: model.byteFallback,
        unk_token: model.pieces[model.unkId]?.text ?? null,
        merges: [],
      },
    },
    config: {
      bos_token: piece(model.bosId),
      eos_token: piece(model.eosId),
      unk_token: piece(model.unkId),
      pad_token: piece(model.padId),
      ...config,
      added_tokens_decoder: config.added_tokens_decoder && foundInRawText(config),
    },
  };
}

/** Tokens that are added to a model are found before it puts its space in front of what lies between them. */
function foundInRawText({ added_tokens_decoder: decoder = {} }: TokenizerConfig): Record<string, AddedTokenJson> {
  return Object.fromEntries(Object.entries(decoder).map(([id, token]) => [id, { ...token, normalized: false }]));
}
