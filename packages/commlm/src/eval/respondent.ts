/** Who answers: our engine, in batches. The other one is an endpoint (endpoint.ts). */
import { CommError } from '../config/errors.js';
import type { BatchAnswerer, DecodingSettings } from '../generate/answer.js';
import { decodeImage, decodeInFrame, type PictureSize, type RgbImage } from '../images/decode.js';
import { EVAL_DEFAULTS } from './defaults.js';
import type { Id } from './formats/files.js';
import { greyPicture } from './grey-picture.js';

/** A question that is ready to be asked. */
export interface AskedQuestion {
  readonly id: Id;
  readonly text: string;
  /** Bytes of the encoded picture; undefined for a question without one. */
  readonly picture?: (() => Promise<Uint8Array>) | undefined;
  /** The size that its coordinates were written for. */
  readonly size?: PictureSize | undefined;
  /** Asked with a grey picture of the same size. */
  readonly blind: boolean;
}

/** The answer to the question of that index, or why there is none. */
export interface Reply {
  readonly index: number;
  /** Empty where there is no answer. */
  readonly answer: string;
  readonly finishReason: string;
  /** Why there is no answer: the same text for all questions of a kind. The question is asked again by the next run. */
  readonly unanswered?: string | undefined;
}

/** Anything that answers questions; groups of replies come as they are ready, in any order. */
export interface Respondent {
  answer(questions: readonly AskedQuestion[], signal?: AbortSignal): AsyncGenerator<readonly Reply[]>;
}

/** What `openRespondent` gave, which a JavaScript caller may have made of anything. @throws CommError where it cannot answer */
export function checkRespondent(respondent: Respondent): Respondent {
  if (typeof (respondent as Respondent | null | undefined)?.answer === 'function') return respondent;
  throw new CommError('openRespondent gave nothing that has a method answer.', {
    code: 'eval/respondent',
    fix: 'Give a ModelRespondent, or {async *answer(questions) { yield [{index, answer, finishReason}] }}.',
    exitCode: 2,
  });
}

/** The replies of a respondent. @throws CommError where they do not come one group after the other */
export function repliesOf(...[respondent, questions, signal]: [Respondent, ...Parameters<Respondent['answer']>]) {
  const replies = respondent.answer(questions, signal);
  if (typeof (replies as Partial<typeof replies> | undefined)?.[Symbol.asyncIterator] === 'function') return replies;
  throw new CommError('The answer of the respondent is no async iterable of groups of replies.', {
    code: 'eval/respondent',
    fix: 'Write it as async *answer(questions) { yield [{index, answer, finishReason}] }.',
    exitCode: 2,
  });
}

/** A grey picture of the size of another one. */
export async function greyOf(picture: Uint8Array | RgbImage): Promise<RgbImage> {
  return greyPicture(picture instanceof Uint8Array ? await decodeImage(picture) : picture);
}

/**
 * A picture in the frame of its question's coordinates, stored or upright. A copy at another scale will do, since answers
 * are fractions of the picture. @throws CommError for a picture of another shape
 */
async function inItsFrame(bytes: Uint8Array, size: PictureSize | undefined): Promise<Uint8Array | RgbImage> {
  if (size === undefined) return bytes;
  const { image, fits } = await decodeInFrame(bytes, size);
  if (fits || isScaled(image, size)) return image;
  throw new CommError(
    `its picture has ${image.width} x ${image.height} pixels, but its coordinates are for ${size.width} x ${size.height}.`,
    { code: 'eval/picture-size', fix: 'Use the pictures that the questions were written for.' },
  );
}

/** The same shape, up to the rounding of both sides. */
const isScaled = (a: PictureSize, b: PictureSize): boolean =>
  Math.abs(a.width * b.height - a.height * b.width) <= Math.max(a.width + a.height, b.width + b.height);

/** An error about one question says which. */
export function aboutQuestion(id: Id, error: CommError): CommError {
  return new CommError(`Question ${JSON.stringify(id)} cannot be answered: ${error.message}`, {
    code: error.code,
    fix: error.fix,
    cause: error,
  });
}

/** Answers with a loaded model. The answers do not depend on the batches. */
export class ModelRespondent implements Respondent {
  readonly #model: BatchAnswerer;
  readonly #batchSize: number;
  readonly #decoding: DecodingSettings;

  /**
   * @param batchSize questions answered together; default 64
   * @param decoding default the likeliest token each time and at most 128
   */
  constructor(
    model: BatchAnswerer,
    batchSize: number = EVAL_DEFAULTS.batchSize,
    decoding: DecodingSettings = { ...EVAL_DEFAULTS.decoding, maxNewTokens: EVAL_DEFAULTS.maxNewTokens },
  ) {
    this.#model = model;
    this.#batchSize = batchSize;
    this.#decoding = decoding;
  }

  async *answer(questions: readonly AskedQuestion[], signal?: AbortSignal): AsyncGenerator<readonly Reply[]> {
    for (let start = 0; start < questions.length; start += this.#batchSize) {
      signal?.throwIfAborted();
      const group = questions.slice(start, start + this.#batchSize);
      const requests = await Promise.all(
        group.map(async ({ text, picture, size, blind, id }) => {
          try {
            const bytes = await picture?.();
            const shown = bytes === undefined ? undefined : await inItsFrame(bytes, size);
            const images = shown === undefined ? [] : [blind ? await greyOf(shown) : shown];
            return { ...this.#decoding, question: text, images };
          } catch (error) {
            throw error instanceof CommError ? aboutQuestion(id, error) : error;
          }
        }),
      );
      const results = await this.#model.askBatch(requests, { signal });
      yield results.map((result, i) => {
        if (result instanceof CommError) throw aboutQuestion(group[i]!.id, result);
        return { index: start + i, answer: result.answer, finishReason: result.finishReason };
      });
    }
  }
}
