/**
 * What goes into a model and what comes out, as users of the library and of `--json` see it, and the seam between those who ask
 * and whoever answers. All of it is plain data, so that it can cross a MessagePort; aborting is no part of it.
 */
import type { CommError } from '../config/errors.js';
import type { Picture, PictureSettings, PlainPicture } from '../images/picture.js';
import type { FinishReason } from './engine.js';

/** How answers are decoded. */
export interface DecodingSettings {
  /** Longest answer in tokens; by default what the model's folder says, else 512. */
  readonly maxNewTokens?: number | undefined;
  /** 0 (default) takes the likeliest token each time. */
  readonly temperature?: number | undefined;
  /** Share of the probability that sampling draws from, in (0, 1]; default 1. */
  readonly topP?: number | undefined;
  /** Seed of the sampling; default 0. The same seed gives the same answer, alone and in a batch. */
  readonly seed?: number | undefined;
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[] | undefined;
}

/** A question that was answered before. */
export interface PastTurn<P extends Picture = Picture> {
  readonly question: string;
  readonly answer: string;
  /** Pictures that came with this question. Where turns bring their own, those of the request come with its question. */
  readonly images?: readonly P[] | undefined;
}

/** One question. */
export interface AskRequest<P extends Picture = Picture> extends DecodingSettings, PictureSettings {
  /** The pictures, in the order of their `<image>` marks; without marks they stand in front of the question. */
  readonly images?: readonly P[] | undefined;
  readonly question: string;
  /** What was asked and answered before. Unless its turns bring pictures, those of the request belong to the first of them. */
  readonly history?: readonly PastTurn<P>[] | undefined;
  /** System prompt in place of the one the model was trained with. */
  readonly system?: string | undefined;
}

/** A question that can be cloned for another thread: pictures are paths, bytes or pixels. */
export type PlainRequest = AskRequest<PlainPicture>;

/** What stays on the asking side. */
export interface AnswerOptions {
  /** Aborting ends the answer between two tokens; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A box of an answer. */
export interface AnswerBox {
  /** The phrase that the answer puts before the box, if any. */
  readonly label?: string | undefined;
  /** x1, y1, x2, y2 in pixels of the picture as a viewer shows it (see `rawOrientation`), clamped to it. */
  readonly box: readonly [number, number, number, number];
  /** x1, y1, x2, y2 in the frame the model writes in (for COMM the padded square), as the model wrote it. */
  readonly normalized: readonly [number, number, number, number];
  /** True when the box reached outside of the picture and was cut. */
  readonly clamped?: true | undefined;
}

/** Counts of one answer. */
export interface Usage {
  /** Tokens of the whole prompt, those of the pictures included. */
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly imageTokens: number;
}

/** Wall-clock times of one answer in ms. */
export interface Timings {
  /** Loading the model; once for all answers of a session. */
  readonly loadMs: number;
  /** Decoding, resizing and encoding the pictures; 0 when they were encoded before. */
  readonly visionMs: number;
  /** The first run over the prompt, and over those that it is answered together with. */
  readonly prefillMs: number;
  /** All tokens after the first. */
  readonly decodeMs: number;
}

/** One answer: what `commlm ask --json` prints. */
export interface Answer {
  /** Name of the model: its folder's name. */
  readonly model: string;
  readonly answer: string;
  readonly boxes: readonly AnswerBox[];
  readonly usage: Usage;
  readonly timings: Timings;
  /** `stop`: the model ended its answer; `length`: it was cut at `maxNewTokens` or the end of the context. */
  readonly finishReason: FinishReason;
  /** Ids of the answer's tokens. */
  readonly tokens: readonly number[];
}

/** A piece of an answer while it comes. */
export interface AnswerDelta {
  readonly text: string;
}

/** What answers a group of questions: as much as batches and evaluations need. */
export interface BatchAnswerer {
  /**
   * One result for each request, in order: the answer, or the error that this request alone ended with. Aborting rejects the
   * whole call.
   */
  askBatch(requests: readonly PlainRequest[], options?: AnswerOptions): Promise<(Answer | CommError)[]>;
  /** Which model it is: a run does not go on with answers of another one. */
  identity?(): object;
}

/**
 * Whoever answers questions: the session of a model, or a worker behind a port. Requests and results are plain data; a
 * CommError crosses as its message, code and fix, an abort as a message of its own.
 */
export interface Answerer extends BatchAnswerer {
  /** Answers one question piece by piece; the pieces together are the answer's text, the return value the whole answer. */
  askStream(request: PlainRequest, options?: AnswerOptions): AsyncGenerator<AnswerDelta, Answer, void>;
}
