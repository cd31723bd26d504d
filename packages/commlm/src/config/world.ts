/** The synthetic world by name: how its things are drawn, how its pictures are changed, what is asked about them. */
import { z } from 'zod';

/** A group of drawings (`known` may be seen in training, `shift` never) or one icon set. */
export const StyleChoice = z.enum(['known', 'shift', 'noto', 'fluent-emoji-flat', 'twemoji', 'openmoji']);
export type StyleChoice = z.infer<typeof StyleChoice>;

export const AugmentLevel = z.enum(['none', 'light', 'strong']);
export type AugmentLevel = z.infer<typeof AugmentLevel>;

/** Kinds of questions. */
export const TurnType = z.enum([
  'existence',
  'object',
  'color',
  'count',
  'position',
  'relation',
  'rec',
  'reg',
  'name-at',
  'caption',
  'spot',
  'exact',
  'choice',
]);
export type TurnType = z.infer<typeof TurnType>;

/** Which scenes are drawn, and how. */
export const WorldLook = z.strictObject({
  seed: z
    .int()
    .nonnegative()
    .max(2 ** 20)
    .describe('Other scenes for another seed.'),
  style: StyleChoice.describe('How things are drawn: `known` may be seen in training, `shift` never; or one icon set.'),
  augment: AugmentLevel.describe('How much pictures are changed.'),
});
export type WorldLook = z.infer<typeof WorldLook>;
