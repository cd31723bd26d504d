/**
 * A sample as the model learns it: boxes written as fractions of the padded square, pictures as runs of placeholders, the
 * conversation spelled as the model's own form or chat template says, a label for every token.
 *
 *     Sample {pictures, turns, marks in pixels} + Frame of each picture  ->  Example {ids, labels, image slots}
 */
import { CommError } from '../config/errors.js';
import { type CommConfig, vicunaConversation } from '../config/model.js';
import {
  type Frame,
  type NormalizedBox,
  type NormalizedPoint,
  pixelPointToNormalized,
  pixelToNormalized,
} from '../images/frames.js';
import { fillPlaceholders } from '../text/boxes.js';
import { type ChatMessage, encodeChat } from '../text/chat-template.js';
import {
  IGNORE_LABEL,
  type ImageSlot,
  type Question,
  renderConversation,
  splitPictures,
} from '../text/conversation.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { fitMark } from './boxes.js';
import type { Mark, Sample, SampleTurn } from './sample.js';

/** What a model makes of text. */
export interface TextSettings {
  readonly tokenizer: Tokenizer;
  readonly model: Pick<CommConfig, 'conversation' | 'imageTokens'>;
  /** Visual tokens of one picture. */
  readonly tokensPerImage: number;
  /** Most tokens of an example. */
  readonly maxLength: number;
}

/** What truncation took away. */
export interface Cut {
  /** Whole turns from the end. */
  readonly turns: number;
  /** Tokens from the end of the last answer that is left. */
  readonly tokens: number;
}

/** A sample as ids. */
export interface Example {
  readonly id: string;
  readonly where: string;
  readonly ids: readonly number[];
  /** The id where it is learned, else -100; not shifted. */
  readonly labels: readonly number[];
  readonly imageSlots: readonly ImageSlot[];
  /** The turns that are left, with all coordinates written out. */
  readonly turns: readonly WrittenTurn[];
  /** What was cut to fit; absent when nothing was. */
  readonly cut?: Cut | undefined;
}

/** A question and its answer as text, `<image>` where pictures are. */
export interface WrittenTurn {
  readonly question: string;
  readonly answer: string;
  /** Absent where the answer is learned. */
  readonly learned?: false;
}

/** What can be wrong with a sample. */
export const PROBLEM_KINDS = [
  'picture',
  'malformed',
  'empty-box',
  'picture-size',
  'image-count',
  'too-long',
  'untrained',
] as const;
export type ProblemKind = (typeof PROBLEM_KINDS)[number];

/** An error of one sample, with its kind; the message begins with file and line. */
export class SampleError extends CommError {
  readonly kind: ProblemKind;

  /** @param where - empty where the message names the place itself */
  constructor(kind: ProblemKind, where: string, message: string, fix?: string, cause?: unknown) {
    super(where === '' || message.includes(where) ? message : `${where}: ${message}`, {
      code: `data/${kind}`,
      fix,
      cause,
    });
    this.kind = kind;
  }
}

/** An error as one of its sample; what is no CommError is no fault of the sample and stays as it is. */
export function asSampleError(error: unknown, kind: ProblemKind, where: string): unknown {
  if (error instanceof SampleError || !(error instanceof CommError)) return error;
  const own = PROBLEM_KINDS.find((known) => error.code === `data/${known}`);
  return new SampleError(own ?? kind, where, error.message, error.fix, error);
}

/** Coordinates of a mark as fractions of the square of its picture. */
export function normalizedMark(
  mark: Mark,
  frames: readonly Frame[],
): { readonly boxes: readonly NormalizedBox[] } | { readonly points: readonly NormalizedPoint[] } {
  const frame = frames[mark.picture];
  if (frame === undefined) {
    throw new CommError(
      `A ${mark.kind === 'boxes' ? 'box' : 'point'} lies on picture ${mark.picture + 1} of ${frames.length}.`,
      {
        code: 'data/mark',
      },
    );
  }
  return mark.kind === 'boxes'
    ? { boxes: mark.boxes.map((box) => pixelToNormalized(box, frame)) }
    : { points: mark.points.map((point) => pixelPointToNormalized(point, frame)) };
}

/** A turn with its coordinates written out. */
export function writeSampleTurn(
  { question, answer, marks, learned }: SampleTurn,
  frames: readonly Frame[],
): WrittenTurn {
  const numInQuestion = question.match(/<boxes>|<points>/g)?.length ?? 0;
  const fill = (text: string, own: readonly Mark[]): string => {
    const values = own.map((mark) => normalizedMark(mark, frames));
    return fillPlaceholders(text, {
      boxes: values.flatMap((value) => ('boxes' in value ? [value.boxes] : [])),
      points: values.flatMap((value) => ('points' in value ? [value.points] : [])),
    });
  };
  const written = {
    question: fill(question, marks.slice(0, numInQuestion)),
    answer: fill(answer, marks.slice(numInQuestion)),
  };
  return learned === undefined ? written : { ...written, learned };
}

/** The sample with its boxes cut to their pictures. Throws a SampleError for one that covers nothing of its picture. */
export function fitToPictures(sample: Sample, frames: readonly Frame[]): Sample {
  const fault = (problem: string, fix: string): SampleError => new SampleError('empty-box', sample.where, problem, fix);
  const turns = sample.turns.map((turn) => ({
    ...turn,
    marks: turn.marks.map((mark) => fitMark(mark, frames[mark.picture], fault)),
  }));
  return { ...sample, turns };
}

const numPlaces = (text: string): number => text.split('<image>').length - 1;

/** Throws `data/image-count` unless each picture has one `<image>` in a question. */
export function checkPictureCount({ turns, pictures, where }: Sample): void {
  const places = turns.reduce((sum, { question }) => sum + numPlaces(question), 0);
  if (places !== pictures.length) {
    const found = `${places} <image> but ${pictures.length} ${pictures.length === 1 ? 'picture' : 'pictures'}`;
    throw new SampleError('image-count', where, `the sample has ${found}.`, 'Write one <image> for each picture.');
  }
  if (turns.some(({ answer }) => numPlaces(answer) > 0)) {
    throw new SampleError('image-count', where, 'an answer holds <image>; only questions show pictures.');
  }
}

/**
 * The example of a sample; `frames` belong to its pictures. With `truncate`, whole turns and then the end of the last
 * answer are cut until it fits, pictures never. Throws SampleError.
 */
export function buildExample(
  sample: Sample,
  frames: readonly Frame[],
  settings: TextSettings,
  overLong: 'error' | 'truncate',
): Example {
  const { id, where } = sample;
  checkPictureCount(sample);
  let written: WrittenTurn[];
  let rendered: Rendered;
  try {
    written = sample.turns.map((turn) => writeSampleTurn(turn, frames));
    rendered = renderTurns(written, settings, sample.system);
  } catch (error) {
    throw asSampleError(error, 'malformed', where);
  }
  const whole = rendered.ids.length;
  const { maxLength } = settings;
  if (whole > maxLength && overLong === 'error') {
    throw new SampleError(
      'too-long',
      where,
      `the sample has ${whole} tokens, more than the ${maxLength} of the recipe.`,
      'Raise maxLength, or let the recipe truncate or skip such samples.',
    );
  }
  const numTurns = written.length;
  while (rendered.ids.length > maxLength && written.length > 1) {
    written = written.slice(0, -1);
    rendered = renderTurns(written, settings, sample.system);
  }
  const tokens = Math.max(0, rendered.ids.length - maxLength);
  if (tokens > 0) rendered = cutEnd(rendered, maxLength, where);
  const cut = { turns: numTurns - written.length, tokens };
  if (!rendered.labels.some((label) => label !== IGNORE_LABEL)) {
    throw new SampleError(
      'untrained',
      where,
      'the sample has no token to learn: its answers are empty or not to be learned.',
    );
  }
  return { id, where, ...rendered, turns: written, cut: cut.turns + cut.tokens > 0 ? cut : undefined };
}

interface Rendered {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  readonly imageSlots: readonly ImageSlot[];
}

/** The first `maxLength` tokens; throws `too-long` when pictures or question alone are longer. */
function cutEnd({ ids, labels, imageSlots }: Rendered, maxLength: number, where: string): Rendered {
  const cut = { ids: ids.slice(0, maxLength), labels: labels.slice(0, maxLength), imageSlots };
  const fits = imageSlots.every(({ start, length }) => start + length <= maxLength);
  if (!fits || !cut.labels.some((label) => label !== IGNORE_LABEL)) {
    throw new SampleError(
      'too-long',
      where,
      `pictures and question alone have more than the ${maxLength} tokens of the recipe.`,
      'Raise maxLength, or let the recipe skip such samples.',
    );
  }
  return cut;
}

/** Written turns as the model reads them, behind its own system text or another one. */
export function renderTurns(
  turns: readonly WrittenTurn[],
  { tokenizer, model, tokensPerImage }: TextSettings,
  system?: string,
): Rendered {
  const { imageTokens } = model;
  const bare = imageTokens.kind === 'bare';
  const form = model.conversation ?? vicunaConversation(bare ? '\n' : ' ');
  const numPictures = turns.reduce((sum, { question }) => sum + numPlaces(question), 0);
  const lengths = new Array<number>(numPictures).fill(tokensPerImage);
  if (form.kind === 'roles') {
    const { ids, labels, imageSlots } = renderConversation(
      turns.map(({ question, ...answer }) => ({
        question:
          form.pictures === 'front' ? question.replaceAll('<image>', '').trim() : inPlace(question, form.pictureEnd),
        ...answer,
      })),
      {
        tokenizer,
        form,
        imageTokens: lengths,
        imageStyle: bare ? 'llava-1.5' : 'shikra',
        patchId: imageTokens.patchId,
        system,
      },
    );
    return { ids, labels, imageSlots };
  }
  const spoken = turns.flatMap(({ question, answer, ...learned }): ChatMessage[] => [
    {
      role: 'user',
      content: inPlace(question, '').map((part) =>
        typeof part === 'string' ? { type: 'text', text: part } : { type: 'image' },
      ),
    },
    { role: 'assistant', content: [{ type: 'text', text: answer }], ...learned },
  ]);
  const before: ChatMessage[] =
    system === undefined ? [] : [{ role: 'system', content: [{ type: 'text', text: system }] }];
  return encodeChat(
    [...before, ...spoken],
    tokenizer,
    { imageId: imageTokens.patchId, imageTokens: lengths },
    {
      begin: true,
      addGenerationPrompt: false,
      learnAnswers: true,
      contents: form.contents,
      template: form.template,
    },
  );
}

/** Pictures where the question has them; the new line that data sets write behind one becomes what the model has there. */
function inPlace(question: string, pictureEnd: string): Exclude<Question, string> {
  return splitPictures(question.replace(/<image>\r?\n/g, `<image>${pictureEnd}`));
}

/** A guess at the tokens of a sample, from the length of its texts alone: enough to put samples of like length together. */
export function estimateLength({ turns, pictures, system = '' }: Sample, tokensPerImage: number): number {
  const numLetters = turns.reduce((sum, { question, answer }) => sum + question.length + answer.length, system.length);
  const numMarks = turns.reduce(
    (sum, { marks }) =>
      sum +
      marks.reduce((count, mark) => count + (mark.kind === 'boxes' ? 2 * mark.boxes.length : mark.points.length), 0),
    0,
  );
  return pictures.length * tokensPerImage + Math.ceil(numLetters / LETTERS_PER_TOKEN) + numMarks * TOKENS_PER_POINT;
}

const LETTERS_PER_TOKEN = 4;
/** `0.500,0.250` digit by digit, as Llama's tokenizer writes it. */
const TOKENS_PER_POINT = 11;
