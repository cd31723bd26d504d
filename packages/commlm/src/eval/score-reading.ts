/** Predictions of a file on their way to a scorer: thinking is cut, and what is thinking alone is no answer and left out. */
import { CommError } from '../config/errors.js';
import type { Unanswered } from './results.js';
import { cutThinking } from './thinking.js';

/** The answers of a file; `places` are those of the predictions that they were. */
export interface ReadPredictions {
  readonly places: readonly number[];
  /** Parallel to `places`. */
  readonly texts: readonly string[];
  /** The same as they stand in the file, with their thinking. */
  readonly given: readonly string[];
  /** Predictions that are no answers. */
  readonly unanswered: Unanswered | null;
  /** Answers that hold thinking. */
  readonly numThinking: number;
  readonly notes: readonly string[];
}

/**
 * Reads predictions in the order of their annotations.
 *
 * @param unitOf what counts together, such as both questions of an MME picture: it is left out as a whole
 * @throws CommError when no answer remains
 */
export function readPredictions(
  predictions: readonly string[],
  { keepThinking, path }: { readonly keepThinking: boolean; readonly path: string },
  unitOf: (place: number) => number = (place) => place,
): ReadPredictions {
  const cuts = predictions.map(cutThinking);
  const numThinking = cuts.filter(({ found }) => found).length;
  const numEmpty = predictions.filter((text) => text.trim() === '').length;
  const places = predictions.map((_, i) => i);
  const of = (count: number): string => `${count} of ${predictions.length} predictions`;
  const empty = numEmpty === 0 ? [] : [`${of(numEmpty)} are empty; they were read as the tool reads an empty answer.`];
  if (numThinking === 0 || keepThinking) {
    const kept = `${of(numThinking)} hold thinking, which was read with the answer.`;
    const notes = [...(numThinking === 0 ? [] : [kept]), ...empty];
    return { places, texts: predictions, given: predictions, unanswered: null, numThinking, notes };
  }
  const whyNot = cuts.map(({ text, found, unfinished }) =>
    unfinished ? 'unfinished thinking' : found && text === '' ? 'thinking alone' : undefined,
  );
  const reasons: Record<string, number> = {};
  for (const why of whyNot) if (why !== undefined) reasons[why] = (reasons[why] ?? 0) + 1;
  const broken = new Set(places.filter((i) => whyNot[i] !== undefined).map(unitOf));
  const whole = places.filter((i) => !broken.has(unitOf(i)));
  if (whole.length === 0) {
    throw new CommError(`${path}: none of the ${predictions.length} predictions holds an answer behind its thinking.`, {
      code: 'score/no-answer',
      fix: 'Let the model write longer answers, or read the thinking too with --keep-thinking.',
    });
  }
  const count = whyNot.filter((why) => why !== undefined).length;
  const alsoLeftOut = predictions.length - count - whole.length;
  const named = Object.entries(reasons).map(([why, number]) => `${why} (${number})`);
  const rest = alsoLeftOut === 0 ? '' : ` and ${alsoLeftOut} beside them`;
  return {
    places: whole,
    texts: whole.map((i) => cuts[i]!.text),
    given: whole.map((i) => predictions[i]!),
    unanswered: count === 0 ? null : { count, reasons, alsoLeftOut },
    numThinking,
    notes: [
      `${of(numThinking)} hold thinking, which was cut before reading.`,
      ...(count === 0
        ? []
        : [`INCOMPLETE: ${of(count)} are no answers: ${named.join(', ')}. They${rest} are left out of the figures.`]),
      ...empty,
    ],
  };
}
