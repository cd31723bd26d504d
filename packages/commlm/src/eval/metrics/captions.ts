/** All caption metrics over one set of images: tokenised once, scored together. */
import { type BleuCounts, bleu } from './bleu.js';
import { cider } from './cider.js';
import type { MeteorName, MeteorScorer } from './meteor.js';
import { NgramIndex } from './ngrams.js';
import { ptbTokenize } from './ptb-tokenizer.js';
import { rougeL } from './rouge.js';

/** Names of the caption metrics that are always there, in the order of the tables. */
export type CaptionMetricName = 'CIDEr' | 'BLEU-1' | 'BLEU-2' | 'BLEU-3' | 'BLEU-4' | 'ROUGE-L';

/** Scores of a set or of one image; METEOR is there when a scorer for it was given. */
export type CaptionFigures = Readonly<Record<CaptionMetricName, number>> & { readonly [name in MeteorName]?: number };

/** Scores of the set, and of each image in the order of the references. */
export type CaptionScores<Id> = CaptionFigures & {
  readonly perItem: ReadonlyArray<CaptionFigures & { readonly id: Id }>;
  /** Additive statistics of BLEU, in the order of `perItem`. */
  readonly bleuCounts: readonly BleuCounts[];
};

/** The captions of a set as tokens, parallel to `ids`. */
export interface TokenizedCaptions<Id> {
  readonly ids: readonly Id[];
  readonly references: ReadonlyArray<readonly string[]>;
  readonly candidates: readonly string[];
}

/**
 * Tokenises one predicted caption and the references of each image of `references`, in their order.
 *
 * @throws RangeError when an image has no prediction or no reference
 */
export function tokenizeCaptions<Id>(
  references: ReadonlyMap<Id, readonly string[]>,
  predictions: ReadonlyMap<Id, string>,
): TokenizedCaptions<Id> {
  const ids = [...references.keys()];
  const candidates = ptbTokenize(
    ids.map((id) => {
      const caption = predictions.get(id);
      if (caption === undefined) throw new RangeError(`Image ${String(id)} has no predicted caption.`);
      return caption;
    }),
  );
  const flat = ptbTokenize([...references.values()].flat());
  let next = 0;
  const grouped = [...references].map(([id, captions]) => {
    if (captions.length === 0) throw new RangeError(`Image ${String(id)} has no reference caption.`);
    next += captions.length;
    return flat.slice(next - captions.length, next);
  });
  return { ids, references: grouped, candidates };
}

/**
 * Scores one caption per image against the references of the same images.
 *
 * @param references captions by image; their order is the order of the official tools and decides nothing but the tokens
 *   at the very end of a caption
 * @param predictions exactly one caption for each image of `references`
 * @throws RangeError when an image has no prediction or no reference
 */
export function scoreCaptions<Id>(
  references: ReadonlyMap<Id, readonly string[]>,
  predictions: ReadonlyMap<Id, string>,
  options: { readonly meteor?: MeteorScorer } = {},
): CaptionScores<Id> {
  return scoreTokenizedCaptions(tokenizeCaptions(references, predictions), options.meteor);
}

/** Scores captions that are tokenised already. */
export function scoreTokenizedCaptions<Id>(
  { ids, references, candidates }: TokenizedCaptions<Id>,
  meteor?: MeteorScorer,
): CaptionScores<Id> {
  const index = new NgramIndex();
  const referenceCounts = references.map((captions) => captions.map((caption) => index.count(caption)));
  const candidateCounts = candidates.map((caption) => index.count(caption));
  const bleuScores = bleu(referenceCounts, candidateCounts, index);
  const ciderScores = cider(referenceCounts, candidateCounts, index);
  const rougeScores = rougeL(references, candidates);
  const meteorScores = meteor?.score(references, candidates);
  const figures = (
    ciderScore: number,
    bleus: readonly number[],
    rouge: number,
    meteorScore: number | undefined,
  ): CaptionFigures => ({
    CIDEr: ciderScore,
    'BLEU-1': bleus[0]!,
    'BLEU-2': bleus[1]!,
    'BLEU-3': bleus[2]!,
    'BLEU-4': bleus[3]!,
    'ROUGE-L': rouge,
    ...(meteor === undefined || meteorScore === undefined ? {} : { [meteor.name]: meteorScore }),
  });
  return {
    ...figures(ciderScores.corpus, bleuScores.corpus, rougeScores.corpus, meteorScores?.corpus),
    perItem: ids.map((id, i) => ({
      id,
      ...figures(
        ciderScores.perCaption[i]!,
        bleuScores.perCaption[i]!,
        rougeScores.perCaption[i]!,
        meteorScores?.perCaption[i],
      ),
    })),
    bleuCounts: bleuScores.counts,
  };
}
