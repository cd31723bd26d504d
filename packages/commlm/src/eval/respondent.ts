/** Who answers: our engine, in batches. The other one is an endpoint (endpoint.ts). */
import { CommError } from '../config/errors.js';
import type { DecodingSettings } from '../generate/answer.js';
import type { Answerer } from '../generate/batch.js';
import { decodeImage, type RgbImage } from '../images/decode.js';
import type { Id } from './formats/files.js';

/** A question that is ready to be asked. */
export interface AskedQuestion {
  readonly id: Id;
  readonly text: string;
  /** Bytes of the encoded picture; undefined for a question without one. */
  readonly picture?: () => Promise<Uint8Array>;
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
  readonly unanswered?: string;
}

/** Anything that answers questions; groups of replies come as they are ready, in any order. */
export interface Respondent {
  answer(questions: readonly AskedQuestion[], signal?: AbortSignal): AsyncGenerator<readonly Reply[]>;
}

/** Grey level of the picture that takes the place of the real one. */
const GREY = 128;

/** A grey picture of the size of an encoded one. */
export async function greyPicture(bytes: Uint8Array): Promise<RgbImage> {
  const { width, height } = await decodeImage(bytes);
  return { width, height, data: new Uint8Array(width * height * 3).fill(GREY) };
}

/** An error about one question says which. */
export function aboutQuestion(id: Id, error: CommError): CommError {
  return new CommError(`Question ${JSON.stringify(id)} cannot be answered: ${error.message}`, {
    code: error.code,
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    cause: error,
  });
}

/** Answers with a loaded model. The answers do not depend on the batches. */
export class ModelRespondent implements Respondent {
  readonly #model: Answerer;
  readonly #batchSize: number;
  readonly #decoding: DecodingSettings;

  constructor(model: Answerer, batchSize: number, decoding: DecodingSettings) {
    this.#model = model;
    this.#batchSize = batchSize;
    this.#decoding = decoding;
  }

  async *answer(questions: readonly AskedQuestion[], signal?: AbortSignal): AsyncGenerator<readonly Reply[]> {
    for (let start = 0; start < questions.length; start += this.#batchSize) {
      signal?.throwIfAborted();
      const group = questions.slice(start, start + this.#batchSize);
      const requests = await Promise.all(
        group.map(async ({ text, picture, blind, id }) => {
          try {
            const bytes = await picture?.();
            const images = bytes === undefined ? [] : [blind ? await greyPicture(bytes) : bytes];
            return { ...this.#decoding, question: text, images };
          } catch (error) {
            throw error instanceof CommError ? aboutQuestion(id, error) : error;
          }
        }),
      );
      const results = await this.#model.askBatch(requests, signal === undefined ? {} : { signal });
      yield results.map((result, i) => {
        if (result instanceof CommError) throw aboutQuestion((group[i] as AskedQuestion).id, result);
        return { index: start + i, answer: result.answer, finishReason: result.finishReason };
      });
    }
  }
}
