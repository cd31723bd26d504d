/**
 * Conversations of people's own files: messages that take turns, a system text in front, answers that are read and not
 * learned (`weight: 0` of OpenAI's files, `loss: false` of ms-swift's, `train: false` of others).
 */
import { asSize, sizeOf } from '../boxes.js';
import type { PictureName } from '../draft.js';
import { type JsonObject, listField, type Place } from '../place.js';
import type { SampleTurn, Size } from '../sample.js';

/** A question or an answer. */
export interface Message {
  readonly text: string;
  readonly learned: boolean;
}

/** Keys of a message that say whether it is learned. */
export const SWITCHES = ['weight', 'loss', 'train'] as const;

/** Keys that label a record and are part of what is said in a message: who speaks, how sure they are. */
export const SAID = ['name', 'title', 'score'] as const;

/** Whether an answer is learned: each switch is 1 or true, 0 or false. Questions never are. */
export function isLearned(message: JsonObject, role: 'question' | 'answer', place: Place): boolean {
  const switches = SWITCHES.filter((name) => (message[name] ?? null) !== null);
  const on = switches.filter((name) => readSwitch(name, message[name], place));
  if (role === 'question' && on.length > 0) {
    throw place.error(`"${on[0]}" asks to learn a question.`, 'Remove it: answers are learned, questions are read.');
  }
  return role === 'answer' && on.length === switches.length;
}

function readSwitch(name: string, value: unknown, place: Place): boolean {
  if (value === 1 || value === true) return true;
  if (value === 0 || value === false) return false;
  throw place.error(`"${name}" is ${JSON.stringify(value)}.`, 'An answer is learned (1 or true) or not (0 or false).');
}

/** The system text that a record names beside its messages, or that stands first among them; undefined for the model's own. */
export function systemText(beside: unknown, first: string | undefined, place: Place): string | undefined {
  const named = beside === undefined || beside === null ? '' : beside;
  if (typeof named !== 'string') throw place.error('"system" must be a text.', 'Correct the record.');
  if (named !== '' && first !== undefined && first !== '') {
    throw place.error('a system text stands both in "system" and in the messages.', 'Keep one of the two.');
  }
  const text = named === '' ? first : named;
  return text === '' ? undefined : text;
}

/** Messages that take turns, as questions with answers. */
export function pairUp(messages: readonly Message[], place: Place): SampleTurn[] {
  if (messages.length === 0 || messages.length % 2 !== 0) {
    throw place.error(
      messages.length === 0 ? 'the conversation is empty.' : 'the last question has no answer.',
      'Every question needs its answer.',
    );
  }
  return Array.from({ length: messages.length / 2 }, (_, i) => {
    const answer = messages[2 * i + 1]!;
    const turn = { question: messages[2 * i]!.text, answer: answer.text, marks: [] };
    return answer.learned ? turn : { ...turn, learned: false };
  });
}

/** Puts one picture in front where no text says where it goes. */
export function placePicture(turns: readonly SampleTurn[], numPictures: number): SampleTurn[] {
  const isPlaced = turns.some(({ question, answer }) => `${question}${answer}`.includes('<image>'));
  if (numPictures !== 1 || isPlaced) return [...turns];
  return turns.map((turn, i) => (i === 0 ? { ...turn, question: `<image>\n${turn.question}` } : turn));
}

/** Keys that tell the sizes of pictures: one picture, or InternVL's lists for several. */
export const SIZE_KEYS = ['width', 'height', 'width_list', 'height_list'] as const;

/** Pictures with the sizes that the record tells. */
export function withSizes(names: readonly string[], record: JsonObject, place: Place): PictureName[] {
  const sizes = sizesOf(names.length, record, place);
  return names.map((name, i) => ({ name, size: sizes[i] }));
}

function sizesOf(numPictures: number, record: JsonObject, place: Place): readonly (Size | undefined)[] {
  if ((record['width_list'] ?? null) === null) return numPictures === 1 ? [sizeOf(record, place)] : [];
  const [widths, heights] = [listField(record, 'width_list', place), listField(record, 'height_list', place)];
  if (widths.length !== numPictures || heights.length !== numPictures) {
    throw place.error(
      `"width_list" and "height_list" tell ${widths.length} and ${heights.length} sizes for ${numPictures} pictures.`,
      'Give one size for each picture, or none.',
    );
  }
  return widths.map((width, i) => asSize(width, heights[i], place));
}
