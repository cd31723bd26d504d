/**
 * What a JavaScript caller gives, checked before anything is done with it: what is wrong is one sentence. A key of a request
 * without effect is an error, since it may carry what was to be asked about (`image` for `images`).
 */
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { describe } from '../images/source.js';
import type { AskRequest } from './answer.js';

/** What is wrong with a field, as the end of the sentence `<field> is ..., but it must be <this>.`; undefined when right. */
type Check = (value: unknown) => string | undefined;

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

function isTurn(turn: unknown): boolean {
  if (typeof turn !== 'object' || turn === null) return false;
  const { question, answer } = turn as Record<string, unknown>;
  return isText(question) && isText(answer);
}

const DECODING: Readonly<Record<string, Check>> = {
  maxNewTokens: number,
  temperature: number,
  topP: number,
  seed: number,
  stop: listOf((item) => isText(item) && item !== '', 'a list of texts that are not empty'),
  signal: (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal'),
};

const REQUEST: Readonly<Record<string, Check>> = {
  ...DECODING,
  images: listOf(() => true, 'a list of pictures'),
  question: text,
  history: listOf(isTurn, 'a list of {question, answer} texts'),
  system: text,
  rawOrientation: yesOrNo,
};

const LOADING: Readonly<Record<string, Check>> = {
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

/** Throws CommError `generate/request` unless a model is named by a text, or not at all, with options as `loadModel` takes them. */
export function checkLoading(model: unknown, options: object): void {
  if (model !== undefined && !isText(model)) {
    throw badRequest(
      `A model was given as ${describe(model)}`,
      'Give its folder or hub id, or nothing for the embedded one.',
    );
  }
  refuseOtherThanObject('The options of a model', options, 'Leave them out, or give an object.');
  for (const [key, check] of Object.entries(LOADING)) checkField(key, (options as Record<string, unknown>)[key], check);
}

/** Throws CommError `generate/request` unless these are options of a conversation. */
export function checkChatOptions(options: object): void {
  checkFields('The options of a conversation', options, { system: text }, 'Leave them out, or give an object.');
}

/** Throws CommError `generate/request` or `generate/empty-question` for what is no request. */
export function checkRequest(request: AskRequest): void {
  checkFields('A request', request, REQUEST, 'Give {images: [picture], question}, or pictures and a question.');
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
export function checkSaySettings(settings: object): void {
  checkFields('The settings of a message', settings, DECODING, 'Leave them out, or give an object.');
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
  if (!isText(question)) throw badRequest(`The question is ${describe(question)}`, 'It must be a text.');
  refuseLong('The question', question);
  if (question.trim() === '') {
    throw new CommError('The question is empty.', { code: 'generate/empty-question', exitCode: 2 });
  }
}

function checkFields(what: string, given: object, checks: Readonly<Record<string, Check>>, fix: string): void {
  refuseOtherThanObject(what, given, fix);
  for (const [key, value] of Object.entries(given)) {
    const check = Object.hasOwn(checks, key) ? checks[key] : undefined;
    if (check === undefined) {
      const guess = nearestName(key, Object.keys(checks));
      throw badRequest(
        `${what} has a key "${key}" that is not known`,
        guess === undefined ? `Known are ${Object.keys(checks).join(', ')}.` : `Did you mean "${guess}"?`,
      );
    }
    checkField(key, value, check);
  }
}

function checkField(key: string, value: unknown, check: Check): void {
  const wanted = value === undefined ? undefined : check(value);
  if (wanted === undefined) return;
  const given = isText(value) ? JSON.stringify(value) : typeof value === 'number' ? String(value) : describe(value);
  throw badRequest(`${key} is ${given}`, `It must be ${wanted}.`);
}

function refuseOtherThanObject(what: string, given: unknown, fix: string): void {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return;
  throw badRequest(`${what} cannot be ${isText(given) ? 'a text alone' : describe(given)}`, fix);
}

function badRequest(sentence: string, fix: string): CommError {
  return new CommError(`${sentence}.`, { code: 'generate/request', fix, exitCode: 2 });
}

/** The error of everything that is asked of a model that was closed. */
export function closedError(): CommError {
  return new CommError('This model was closed.', { code: 'generate/closed', fix: 'Load it again.' });
}
