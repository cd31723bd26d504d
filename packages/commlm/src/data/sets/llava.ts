/** LLaVA's conversations: `{id, image, conversations: [{from: human | gpt, value}]}`, as an array or one a line. */
import type { DataSetOf } from '../../config/data-sets.js';
import { type Drafts, eachRecord, type PictureName } from '../draft.js';
import { openJson, openJsonLines } from '../json-records.js';
import { asObject, type JsonObject, listField, type Place, stringField } from '../place.js';
import type { SampleTurn } from '../sample.js';

/** Records of a file that is an array (`.json`) or holds one object a line (`.jsonl`). */
export function openArrayOrLines(file: string) {
  return file.endsWith('.jsonl') ? openJsonLines(file) : openJson(file).elements();
}

/** Conversations: one sample for each. A single picture that no text places stands in front of the first question. */
export async function openLlava({ file }: DataSetOf<'llava'>): Promise<Drafts> {
  const records = openArrayOrLines(file);
  return eachRecord(records, (record, place) => {
    const pictures = imagesOf(record, place);
    return { pictures, turns: placePicture(turnsOf(record, place), pictures.length) };
  });
}

function imagesOf({ image }: JsonObject, place: Place): PictureName[] {
  if (image === undefined || image === null) return [];
  const names = Array.isArray(image) ? (image as readonly unknown[]) : [image];
  return names.map((name) => {
    if (typeof name === 'string' && name !== '') return { name };
    throw place.error('"image" must be a text or a list of texts.', 'Give the path of the picture in its store.');
  });
}

function turnsOf(record: JsonObject, place: Place): SampleTurn[] {
  const messages = listField(record, 'conversations', place).map((value, i) => {
    const at = place.at(`conversations[${i}]`);
    const message = asObject(value, at);
    const from = stringField(message, 'from', at);
    const wanted = i % 2 === 0 ? 'human' : 'gpt';
    if (from !== wanted) {
      throw at.error(
        `"from" is ${JSON.stringify(from)} where "${wanted}" is due.`,
        'human and gpt take turns, human first.',
      );
    }
    return stringField(message, 'value', at);
  });
  return pairUp(messages, place);
}

/** Messages that take turns, as questions with answers. */
export function pairUp(messages: readonly string[], place: Place): SampleTurn[] {
  if (messages.length === 0 || messages.length % 2 !== 0) {
    throw place.error(
      messages.length === 0 ? 'the conversation is empty.' : 'the last question has no answer.',
      'Every question needs its answer.',
    );
  }
  return Array.from({ length: messages.length / 2 }, (_, i) => ({
    question: messages[2 * i]!,
    answer: messages[2 * i + 1]!,
    marks: [],
  }));
}

/** Puts one picture in front where no text says where it goes. */
export function placePicture(turns: readonly SampleTurn[], numPictures: number): SampleTurn[] {
  const isPlaced = turns.some(({ question, answer }) => `${question}${answer}`.includes('<image>'));
  if (numPictures !== 1 || isPlaced) return [...turns];
  return turns.map((turn, i) => (i === 0 ? { ...turn, question: `<image>\n${turn.question}` } : turn));
}
