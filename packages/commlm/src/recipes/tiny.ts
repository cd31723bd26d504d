/** What the recipes of comm-tiny share: the ids that its own tokenizer gives to the special pieces. */

/** Vocabulary and picture tokens, in the order of recipes/tiny-tokenizer.ts. */
export const TINY_VOCABULARY = {
  vocabSize: 1088,
  imageTokens: { kind: 'wrapped', startId: 3, endId: 4, patchId: 5 },
} as const;
