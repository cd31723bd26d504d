/** What a training does with samples that are not as they should be. */
import { z } from 'zod';

const ErrorOrSkip = z.enum(['error', 'skip']);

/** `error` stops the run with file and line; `skip` takes the next sample of the same set in its place and counts it. Kinds with a default came later than recipes without them. */
export const SkipConfig = z.strictObject({
  picture: ErrorOrSkip.describe('A picture that is missing or cannot be decoded.'),
  malformed: ErrorOrSkip.describe('A line that the reader of its data set refuses.'),
  'empty-box': ErrorOrSkip.default('skip').describe(
    'A box or point that covers nothing of its picture: without area, or (all but a tenth of it) outside.',
  ),
  'picture-size': ErrorOrSkip.default('error').describe(
    'A record with coordinates that tells another size of its picture than the picture has.',
  ),
  'image-count': ErrorOrSkip.describe('As many `<image>` as pictures are needed.'),
  'too-long': z
    .enum(['error', 'skip', 'truncate'])
    .describe(
      "More tokens than the recipe's maxLength; `truncate` drops turns and the end of the last answer, never a picture, and skips what does not fit even so.",
    ),
  untrained: ErrorOrSkip.describe('No token to learn.'),
  limit: z.int().nonnegative().describe('Different samples that may be skipped in a run; one more is an error.'),
});
export type SkipConfig = z.infer<typeof SkipConfig>;
