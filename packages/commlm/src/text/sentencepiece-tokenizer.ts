/**
 * A folder that has `tokenizer.model` only: the model in the places where tokenizer.json would have a normaliser and a
 * vocabulary, with the rules of Llama-type tokenizers for the space in front of a text.
 */
import type { SentencePieceModel } from './sentencepiece.js';
import type { TokenizerConfig, TokenizerJson } from './tokenizer.js';

/** What a tokenizer does to text between special tokens, and its vocabulary. */
export interface TokenizerEngine {
  readonly normalizer: { _call(text: string): string } | null;
  readonly pre_tokenizer: { _call(text: string, options: { section_index: number }): string[] } | null;
  readonly model: { _call(words: string[]): string[]; readonly tokens_to_ids: ReadonlyMap<string, number> } | null;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/**
 * The engine of a model. The older rule of Llama and Vicuna puts a space before every stretch of text between special
 * tokens, the newer one (`"legacy": false`) before the first only.
 */
export function sentencePieceEngine(model: SentencePieceModel, config: TokenizerConfig): TokenizerEngine {
  const ids = new Map(model.pieces.map(({ text }, id) => [text, id]));
  const prefix = model.addDummyPrefix && config['add_prefix_space'] !== false;
  const legacy = config['legacy'] !== false;
  return {
    // An empty text gets its space too: that tells the caller how many bytes are not the text's own.
    normalizer: {
      _call: (text) => (text === '' && prefix && legacy ? '\u2581' : model.normalize(text, prefix && legacy)),
    },
    pre_tokenizer: {
      _call: (text, options) => [
        prefix && !legacy && options.section_index === 0 && !text.startsWith('\u2581') ? `\u2581${text}` : text,
      ],
    },
    model: {
      _call: (words) => words.flatMap((word) => model.segment(word)).map((id) => model.pieces[id]?.text ?? ''),
      tokens_to_ids: ids,
    },
    token_to_id: (token) => ids.get(token),
    id_to_token: (id) => model.pieces[id]?.text,
  };
}

/** The fields of tokenizer.json and tokenizer_config.json that the model itself knows; `config` goes first. */
export function describeSentencePiece(
  model: SentencePieceModel,
  config: TokenizerConfig,
  moreTokens: Readonly<Record<string, number>> = {},
): { json: TokenizerJson; config: TokenizerConfig } {
  const own = model.pieces.flatMap(({ text, kind }, id) =>
    kind === 'control' || kind === 'unknown' || kind === 'user-defined'
      ? [{ id, content: text, special: kind !== 'user-defined' }]
      : [],
  );
  const more = Object.entries(moreTokens).map(([content, id]) => ({ id, content, special: true }));
  const prefix = model.addDummyPrefix && config['add_prefix_space'] !== false;
  const strip = prefix || model.removeExtraWhitespaces;
  const decoders = ['Replace', 'ByteFallback', 'Fuse', ...(strip ? ['Strip'] : [])].map((type) => ({ type }));
  const piece = (id: number): { content: string } | null => {
    const found = model.pieces[id];
    return found === undefined ? null : { content: found.text };
  };
  return {
    json: {
      added_tokens: [...own, ...more],
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
    },
  };
}
