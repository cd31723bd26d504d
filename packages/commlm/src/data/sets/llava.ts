/**
 * LLaVA's conversations: `{id, image, conversations: [{from: human | gpt, value}]}`, as an array or one a line. `system` is
 * used, `images` is another word for `image`, and answers may be marked as not learned.
 */
import type { DataSetOf } from '../../config/data-sets.js';
import { type Draft, type Drafts, eachRecord } from '../draft.js';
import { openArrayOrLines } from '../json-records.js';
import { type KeyCheck, refuseUnknown, refuseUnshown } from '../keys.js';
import { asObject, type JsonObject, listField, type Place, stringField } from '../place.js';
import {
  isLearned,
  type Message,
  pairUp,
  placePicture,
  SAID,
  SIZE_KEYS,
  SWITCHES,
  systemText,
  withSizes,
} from './messages.js';

const RECORD_KEYS = ['image', 'images', 'system', 'conversations', ...SIZE_KEYS];
const MESSAGE_KEYS = ['from', 'value', ...SWITCHES];

/** Conversations: one sample for each. A single picture that no text places stands in front of the first question. */
export async function openLlava({ file, ignoreKeys }: DataSetOf<'llava'>): Promise<Drafts> {
  const checkMessage = refuseUnknown(MESSAGE_KEYS, ignoreKeys, SAID);
  return eachRecord(openArrayOrLines(file), refuseUnknown(RECORD_KEYS, ignoreKeys), (record, place) =>
    readLlava(record, place, checkMessage, ignoreKeys),
  );
}

function readLlava(
  record: JsonObject,
  place: Place,
  checkMessage: KeyCheck,
  ignored?: readonly string[],
): Pick<Draft, 'pictures' | 'system' | 'turns'> {
  const messages = listField(record, 'conversations', place).map((value, i) => {
    const at = place.at(`conversations[${i}]`);
    const message = asObject(value, at);
    checkMessage(message, at);
    return { message, at };
  });
  const first = messages[0];
  const hasSystem = first?.message['from'] === 'system';
  const spoken = (hasSystem ? messages.slice(1) : messages).map(({ message, at }, i) => readMessage(message, i, at));
  const names = pictureNames(record, place);
  refuseUnshown(record, names, place, ignored);
  return {
    pictures: withSizes(names, record, place),
    system: systemText(record['system'], hasSystem ? stringField(first.message, 'value', first.at) : undefined, place),
    turns: placePicture(pairUp(spoken, place), names.length),
  };
}

function readMessage(message: JsonObject, index: number, place: Place): Message {
  const from = stringField(message, 'from', place);
  const wanted = index % 2 === 0 ? 'human' : 'gpt';
  if (from !== wanted) {
    throw place.error(
      `"from" is ${JSON.stringify(from)} where "${wanted}" is due.`,
      'human and gpt take turns, human first; a system text stands before them.',
    );
  }
  const text = stringField(message, 'value', place);
  return { text, learned: isLearned(message, wanted === 'gpt' ? 'answer' : 'question', place) };
}

/** The pictures of a record under either key: a text or a list of texts. */
export function pictureNames({ image, images }: JsonObject, place: Place): string[] {
  const [one, many] = [image, images].map((value) => (value === undefined || value === null ? [] : [value].flat()));
  if (one!.length > 0 && many!.length > 0) {
    throw place.error('pictures stand both in "image" and in "images".', 'Keep one of the two.');
  }
  const key = one!.length > 0 ? 'image' : 'images';
  return [...one!, ...many!].map((name) => {
    const path = typeof name === 'object' && name !== null ? pathOf(name as JsonObject, place) : name;
    if (typeof path === 'string' && path !== '') return path;
    throw place.error(`"${key}" must be a text or a list of texts.`, 'Give the path of the picture in its store.');
  });
}

/** ms-swift's `{path, bytes}`. */
function pathOf({ path, bytes }: JsonObject, place: Place): unknown {
  if (bytes === undefined || bytes === null) return path;
  throw place.error('a picture lies in the record as bytes.', 'Put it into the store and give its path there.');
}
