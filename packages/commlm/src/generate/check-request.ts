/**
 * What a JavaScript caller gives, checked before anything is done with it: what is wrong is one sentence. A key of a request
 * without effect is an error, since it may carry what was to be asked about (`image` for `images`).
 */
import { type Check, type CheckedAs, type Checks, checkOptions, describe } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import type { AnswerOptions, AskRequest, DecodingSettings, PastTurn } from './answer.js';
import type { LoadOptions } from './load-options.js';

const isText = (value: unknown): value is string => typeof value === 'string';
const text: Check = (value) => (isText(value) ? undefined : 'a text');
const number: Check = (value) => (typeof value === 'number' ? undefined : 'a number');
const yesOrNo: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false');
const callable: Check = (value) => (typeof value === 'function' ? undefined : 'a function');
const matching =
  (pattern: RegExp, words: string): Check =>
  (value) =>
    isText(value) && pattern.test(value) ? undefined : words;
const listOf =
  (isItem: (item: unknown) => boolean, words: string): Check =>
  (value) =>
    Array.isArray(value) && value.every(isItem) ? undefined : words;

const pictures = listOf(() => true, 'a list of pictures');
const TURN: Checks<PastTurn> = { question: text, answer: text, images: pictures };

function isTurn(turn: unknown): boolean {
  if (typeof turn !== 'object' || turn === null) return false;
  const { question, answer, images, ...rest } = turn as Record<keyof typeof TURN, unknown>;
  const isPictures = images === undefined || pictures(images) === undefined;
  return isText(question) && isText(answer) && isPictures && Object.keys(rest).length === 0;
}

const DECODING: Checks<DecodingSettings> = {
  maxNewTokens: number,
  temperature: number,
  topP: number,
  seed: number,
  stop: listOf((item) => isText(item) && item !== '', 'a list of texts that are not empty'),
};

const ANSWERING: Checks<AnswerOptions> = {
  signal: (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal'),
};

const ASKING: Checks<Omit<AskRequest, 'images' | 'question'>> = {
  ...DECODING,
  history: listOf(isTurn, 'a list of {question, answer} texts, with images where they brought some'),
  system: text,
  rawOrientation: yesOrNo,
};

const REQUEST: Checks<AskRequest> = { ...ASKING, images: pictures, question: text };

const LOADING: Checks<LoadOptions> = {
  dtype: matching(/^(?:auto|f32|bf16|f16|int8)$/, 'auto, f32, bf16, f16 or int8'),
  device: matching(/^(?:cpu|mps|cuda(?::\d+)?)$/, 'cpu, cuda, cuda:<number> or mps'),
  imageCacheBytes: (value) => (typeof value === 'number' && value >= 0 ? undefined : 'a number of 0 or more'),
  onWeight: callable,
  visionTower: listOf(isText, 'a list of folders'),
  base: text,
  lora: text,
  allowUntrained: yesOrNo,
  onNote: callable,
};

const code = 'generate/request';
const asked = (what: string, fix?: string): CheckedAs => ({ what, code, fix });

/** Throws CommError `generate/request` unless a model is named by a text, or not at all, with options as `loadModel` takes them. */
export function checkLoading(model: unknown, options: LoadOptions): void {
  if (model !== undefined && !isText(model)) {
    throw badRequest(
      `A model was given as ${describe(model)}`,
      'Give its folder or hub id, or nothing for the embedded one.',
    );
  }
  checkOptions(options, LOADING, asked('The options of a model'));
}

/** Throws CommError `generate/request` unless these are options of a conversation. */
export function checkChatOptions(options: { readonly system?: string | undefined }): void {
  checkOptions(options, { system: text }, asked('The options of a conversation'));
}

/** Throws CommError `generate/request` unless these are options beside a request. */
export function checkAnswerOptions(options: AnswerOptions): void {
  checkOptions(options, ANSWERING, asked('The options of a question'));
}

/** Throws CommError `generate/request` unless these are settings beside pictures and question. */
export function checkAskSettings(settings: Omit<AskRequest, 'images' | 'question'> & AnswerOptions): void {
  checkOptions(settings, { ...ASKING, ...ANSWERING }, asked('The settings of a question'));
}

/** Throws CommError `generate/request` or `generate/empty-question` for what is no request. */
export function checkRequest(request: AskRequest): void {
  if (typeof request === 'object' && request !== null && 'signal' in request) {
    throw badRequest('A request holds a signal', 'Give it beside the request: ask(request, { signal }).');
  }
  checkOptions(request, REQUEST, asked('A request', 'Give {images: [picture], question}, or pictures and a question.'));
  if (request.question === undefined)
    throw badRequest('A request has no question', 'As in ask("a.jpg", "What is this?").');
  checkQuestion(request.question);
  refuseLong('The system prompt', request.system);
  for (const { question, answer } of request.history ?? []) {
    refuseLong('A question of the history', question);
    refuseLong('An answer of the history', answer);
  }
}

/** Throws CommError unless these are settings of one message of a conversation. */
export function checkSaySettings(settings: DecodingSettings & AnswerOptions): void {
  checkOptions(settings, { ...DECODING, ...ANSWERING }, asked('The settings of a message'));
}

/** Beyond what any model reads, in characters: making tokens of it would hold the process for minutes. */
const MAX_CHARACTERS = 2 ** 20;

function refuseLong(what: string, given: string | undefined): void {
  if (given === undefined || given.length <= MAX_CHARACTERS) return;
  throw new CommError(`${what} has ${given.length} characters, more than the ${MAX_CHARACTERS} that are read.`, {
    code: 'generate/too-long',
    fix: 'Use a shorter one.',
  });
}

/** Throws CommError `generate/empty-question` for what holds nothing to answer, `generate/too-long` for what none reads. */
export function checkQuestion(question: unknown): void {
  if (!isText(question))
    throw badRequest(`The question is ${describe(question)}, but it must be a text`, 'Give a text.');
  refuseLong('The question', question);
  if (question.trim() === '') {
    throw new CommError('The question is empty.', { code: 'generate/empty-question', exitCode: 2 });
  }
}

function badRequest(sentence: string, fix: string): CommError {
  return new CommError(`${sentence}.`, { code, fix, exitCode: 2 });
}
