/**
 * How data sets are mixed: a tree whose leaves name sets. Every node is a finite list of samples in a fixed order; the
 * stream that trains goes through the root again and again, in a new order each time (data/mixture.ts).
 */
import { z } from 'zod';

/** All samples of one set, in the order of its file. */
export interface SetNode {
  readonly kind: 'set';
  /** Name of the set. */
  readonly set: string;
}

/** The parts one behind the other: each counts by its size (Shikra's `ConcatDataset`). */
export interface ConcatNode {
  readonly kind: 'concat';
  readonly parts: readonly MixtureConfig[];
}

/**
 * A share of the samples, also more than all of them: the list ceil(portion) times, shuffled, cut to portion times its
 * length (Shikra's `SubSet` and `ConcatDatasetWithShuffle`). The choice is the same in every epoch.
 */
export interface PortionNode {
  readonly kind: 'portion';
  readonly portion: number;
  readonly of: MixtureConfig;
}

/** The list gone through `epochs` times, each time in a new order; the fraction of a last time is a random choice without repeats. */
export interface EpochsNode {
  readonly kind: 'epochs';
  readonly epochs: number;
  readonly of: MixtureConfig;
}

/**
 * One part is drawn for each place by its share; every part is walked in order and begun again at its end (Shikra's
 * `InterleaveDateset`). The list ends when the first part has been used up, or only when all of them have.
 */
export interface InterleaveNode {
  readonly kind: 'interleave';
  readonly parts: readonly { readonly share: number; readonly of: MixtureConfig }[];
  readonly stop: 'first_exhausted' | 'all_exhausted';
}

/** A mixture of data sets. */
export type MixtureConfig = SetNode | ConcatNode | PortionNode | EpochsNode | InterleaveNode;

const MAX_TIMES = 1000;

/** The mixture inside of a node; described once, since a lazy schema is made anew with each description. */
const of: z.ZodType<MixtureConfig> = z.lazy(() => MixtureConfig).describe('The mixture that it takes from.');

/** Schema of a mixture. */
export const MixtureConfig: z.ZodType<MixtureConfig> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('set').describe('All samples of one set, in the order of its file.'),
      set: z.string().min(1).describe('Name of the set.'),
    }),
    z.strictObject({
      kind: z.literal('concat').describe('The parts one behind the other.'),
      parts: z.array(MixtureConfig).min(1).describe('The parts.'),
    }),
    z.strictObject({
      kind: z
        .literal('portion')
        .describe('A share of the samples, also more than all; the choice is the same in every epoch.'),
      portion: z.number().positive().max(MAX_TIMES).describe('The share.'),
      of,
    }),
    z.strictObject({
      kind: z.literal('epochs').describe('The list gone through several times, each time in a new order.'),
      epochs: z.number().positive().max(MAX_TIMES).describe('How often, also a fraction.'),
      of,
    }),
    z.strictObject({
      kind: z.literal('interleave').describe('One part is drawn for each place by its share.'),
      parts: z
        .array(z.strictObject({ share: z.number().positive().describe('Share of the part, relative.'), of }))
        .min(2)
        .describe('The parts.'),
      stop: z
        .enum(['first_exhausted', 'all_exhausted'])
        .describe('The list ends when the first part is used up, or only when all are.'),
    }),
  ]),
);

/** Names of the sets that a mixture uses, each once. */
export function setsOf(mixture: MixtureConfig): string[] {
  switch (mixture.kind) {
    case 'set':
      return [mixture.set];
    case 'portion':
    case 'epochs':
      return setsOf(mixture.of);
    case 'concat':
      return [...new Set(mixture.parts.flatMap(setsOf))];
    case 'interleave':
      return [...new Set(mixture.parts.flatMap(({ of }) => setsOf(of)))];
  }
}

/** A set by name, for short recipes. */
export const set = (name: string): SetNode => ({ kind: 'set', set: name });

/** Parts one behind the other, for short recipes. */
export const concat = (...parts: readonly (MixtureConfig | string)[]): ConcatNode => ({
  kind: 'concat',
  parts: parts.map((part) => (typeof part === 'string' ? set(part) : part)),
});

/** A share of a mixture, for short recipes. */
export const portion = (share: number, of: MixtureConfig | string): PortionNode => ({
  kind: 'portion',
  portion: share,
  of: typeof of === 'string' ? set(of) : of,
});
