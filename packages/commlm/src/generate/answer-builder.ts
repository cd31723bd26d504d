/** One answer as it comes: the engine's events in, pieces of text out, and at the end the whole answer with its boxes. */
import { clampPixelBox, type Frame, normalizedToPixel } from '../images/frames.js';
import { findBoxes } from '../text/boxes.js';
import type { Answer, AnswerBox, AnswerDelta } from './answer.js';
import type { TokenEvent } from './engine.js';
import { TextStream, type TokenDecoder } from './text-stream.js';

/** What is known of an answer before its first token. */
export interface AnswerFacts {
  /** Name of the model. */
  readonly model: string;
  readonly loadMs: number;
  readonly visionMs: number;
  readonly promptTokens: number;
  readonly imageTokens: number;
  /** Frame of the picture that the boxes are on; none without a picture. */
  readonly frame: Frame | undefined;
  /** Numbers beyond the square are no box: models of other makers write other lists of numbers too. */
  readonly boxesInSquare: boolean;
}

/** Builds one answer; what `ask`, `askBatch` and a conversation have in common. */
export class AnswerBuilder {
  readonly #facts: AnswerFacts;
  readonly #text: TextStream;
  readonly #tokens: number[] = [];
  #numShown = 0;
  #prefillMs = 0;
  #started = performance.now();
  #answer: Answer | undefined;

  /** @param stop - texts that end the answer */
  constructor(facts: AnswerFacts, decoder: TokenDecoder, stop: readonly string[] = []) {
    this.#facts = facts;
    this.#text = new TextStream(decoder, stop);
  }

  /** The whole answer, once its last event was accepted. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  /** Takes the next token; whether a stop text ended the answer with it. The engine asks before it tells of the token. */
  readonly stopWhen = (token: number): boolean => {
    this.#text.push(token);
    return this.#text.stopped;
  };

  /** Takes an event of this answer; gives the text that is certain since the last piece. Throws what the answer failed with. */
  accept(event: TokenEvent): AnswerDelta | undefined {
    switch (event.type) {
      case 'prefill':
        this.#prefillMs = event.ms;
        this.#started = performance.now();
        return undefined;
      case 'token':
        this.#tokens.push(event.token);
        return this.#news();
      case 'finish': {
        const decodeMs = performance.now() - this.#started;
        this.#text.end();
        this.#answer = this.#build(event.reason, decodeMs);
        return this.#news();
      }
      case 'error':
        throw event.error;
    }
  }

  #news(): AnswerDelta | undefined {
    const { text } = this.#text;
    if (text.length === this.#numShown) return undefined;
    const delta = { text: text.slice(this.#numShown) };
    this.#numShown = text.length;
    return delta;
  }

  #build(finishReason: Answer['finishReason'], decodeMs: number): Answer {
    const { model, loadMs, visionMs, promptTokens, imageTokens } = this.#facts;
    const { text } = this.#text;
    return {
      model,
      answer: text,
      boxes: boxesOf(text, this.#facts),
      usage: { promptTokens, completionTokens: this.#tokens.length, imageTokens },
      timings: { loadMs, visionMs, prefillMs: this.#prefillMs, decodeMs },
      finishReason,
      tokens: this.#tokens,
    };
  }
}

function boxesOf(text: string, { frame, boxesInSquare }: AnswerFacts): AnswerBox[] {
  if (frame === undefined) return [];
  const isBox = (box: readonly number[]): boolean => !boxesInSquare || box.every((x) => x >= 0 && x <= 1);
  const found = findBoxes(text).filter(({ box }) => isBox(box));
  return found.map(({ label, box }) => {
    const { box: pixels, clamped } = clampPixelBox(normalizedToPixel(box, frame), frame);
    const [x1, y1, x2, y2] = pixels;
    return {
      label,
      box: [hundredths(x1), hundredths(y1), hundredths(x2), hundredths(y2)],
      normalized: box,
      clamped: clamped ? true : undefined,
    };
  });
}

/** Answers have three decimals of the square's side: more than hundredths of a pixel would be noise. */
const hundredths = (value: number): number => Math.round(value * 100) / 100;
