/**
 * Chat messages, one conversation a line: `{messages: [{role, content}]}` with content as text or as OpenAI's parts, and
 * ms-swift's form with `images` and `objects: {ref, bbox}` for `<image>`, `<ref-object>` and `<bbox>` in the text. A message
 * of the role `system` may stand first, and answers may be marked as not learned.
 */
import type { DataSetOf } from '../../config/data-sets.js';
import type { PixelBox, PixelPoint } from '../../images/frames.js';
import { asBox, asPoint } from '../boxes.js';
import { type Draft, type Drafts, eachRecord } from '../draft.js';
import { openArrayOrLines } from '../json-records.js';
import { type KeyCheck, refuseUnknown, refuseUnshown } from '../keys.js';
import { asList, asObject, type JsonObject, listField, type Place, stringField } from '../place.js';
import type { Mark, SampleTurn } from '../sample.js';
import { pictureNames } from './llava.js';
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

const RECORD_KEYS = ['messages', 'image', 'images', 'system', 'objects', ...SIZE_KEYS];
const MESSAGE_KEYS = ['role', 'content', ...SWITCHES];
const PART_KEYS = ['type', 'text', 'image_url'];
const URL_KEYS = ['url', 'detail'];
const OBJECT_KEYS = ['ref', 'bbox', 'bbox_type', 'image_id'];

/** What is asked of the keys below a record. */
interface Checks {
  readonly message: KeyCheck;
  readonly part: KeyCheck;
  readonly url: KeyCheck;
  readonly objects: KeyCheck;
}

/** Conversations: one sample for each. */
export async function openChat({ file, ignoreKeys }: DataSetOf<'chat'>): Promise<Drafts> {
  const strict = (keys: readonly string[]): KeyCheck => refuseUnknown(keys, ignoreKeys, SAID);
  const checks: Checks = {
    message: strict(MESSAGE_KEYS),
    part: strict(PART_KEYS),
    url: strict(URL_KEYS),
    objects: strict(OBJECT_KEYS),
  };
  return eachRecord(openArrayOrLines(file), refuseUnknown(RECORD_KEYS, ignoreKeys), (record, place) =>
    readChat(record, place, checks, ignoreKeys),
  );
}

function readChat(
  record: JsonObject,
  place: Place,
  checks: Checks,
  ignored?: readonly string[],
): Pick<Draft, 'pictures' | 'system' | 'turns'> {
  const inParts: string[] = [];
  let first: string | undefined;
  const messages = listField(record, 'messages', place).flatMap((value, i): Message[] => {
    const at = place.at(`messages[${i}]`);
    const message = asObject(value, at);
    checks.message(message, at);
    const role = stringField(message, 'role', at);
    const text = contentText(message['content'], inParts, at, checks);
    if (i === 0 && role === 'system') {
      first = text;
      return [];
    }
    const wanted = (i - (first === undefined ? 0 : 1)) % 2 === 0 ? 'user' : 'assistant';
    if (role !== wanted) {
      throw at.error(
        `the role is ${JSON.stringify(role)} where "${wanted}" is due.`,
        'user and assistant take turns, user first; a system text stands before them.',
      );
    }
    return [{ text, learned: isLearned(message, wanted === 'user' ? 'question' : 'answer', at) }];
  });
  const beside = pictureNames(record, place);
  if (beside.length > 0 && inParts.length > 0) {
    throw place.error('pictures stand both beside and in the messages.', 'Keep one of the two.');
  }
  const names = [...inParts, ...beside];
  refuseUnshown(record, names, place, ignored);
  const turns = placePicture(pairUp(messages, place), names.length);
  return {
    pictures: withSizes(names, record, place),
    system: systemText(record['system'], first, place),
    turns: fillObjects(turns, record, names.length, place, checks.objects),
  };
}

/** Text of a message; pictures in its parts become `<image>` and are added to `pictures`. */
function contentText(content: unknown, pictures: string[], place: Place, checks: Checks): string {
  if (typeof content === 'string') return content;
  const parts = asList(content, place.at('content')).map((value, i) => {
    const at = place.at(`content[${i}]`);
    const part = asObject(value, at);
    const type = stringField(part, 'type', at);
    if (type !== 'text' && type !== 'image_url') {
      throw at.error(`the part "${type}" is not known.`, 'Parts are text and image_url.');
    }
    checks.part(part, at);
    if (type === 'text') return stringField(part, 'text', at);
    const address = asObject(part['image_url'], at.at('image_url'));
    checks.url(address, at);
    const url = stringField(address, 'url', at);
    if (/^(?:https?|data):/.test(url)) {
      throw at.error(
        'the picture is an address or lies in the text.',
        'Put it into the store and give its path there.',
      );
    }
    pictures.push(url.replace(/^file:\/\//, ''));
    return '<image>';
  });
  return parts.join('\n');
}

const OBJECT_PLACE = /<ref-object>|<bbox>/g;

/** ms-swift's `objects`: names for `<ref-object>`, pixels for `<bbox>`, each in order. */
function fillObjects(
  turns: readonly SampleTurn[],
  record: JsonObject,
  numPictures: number,
  place: Place,
  check: KeyCheck,
): SampleTurn[] {
  if ((record['objects'] ?? null) === null) return [...turns];
  const at = place.at('objects');
  const objects = asObject(record['objects'], at);
  check(objects, at);
  if (objects['bbox_type'] !== undefined && objects['bbox_type'] !== 'real') {
    throw at.error(`"bbox_type" is ${JSON.stringify(objects['bbox_type'])}.`, 'Give boxes in pixels ("real").');
  }
  const names = objects['ref'] === undefined ? [] : listField(objects, 'ref', at);
  const boxes = objects['bbox'] === undefined ? [] : readBoxes(listField(objects, 'bbox', at), at);
  const pictureIds = objects['image_id'] === undefined ? undefined : listField(objects, 'image_id', at);
  let nextName = 0;
  let nextBox = 0;
  const fill = (text: string, marks: Mark[]): string =>
    text.replace(OBJECT_PLACE, (placeholder) => {
      if (placeholder === '<ref-object>') {
        const name = names[nextName++];
        if (typeof name === 'string') return name;
        throw at.error(`<ref-object> ${nextName} has no text in "ref".`, 'Give one for each <ref-object>.');
      }
      const picture = Number(pictureIds?.[nextBox] ?? 0);
      const found = boxes[nextBox++];
      if (found === undefined) throw at.error(`<bbox> ${nextBox} has no box.`, 'Give one for each <bbox>.');
      if (!(Number.isInteger(picture) && picture >= 0 && picture < numPictures)) {
        throw at.error(`<bbox> ${nextBox} lies on picture ${picture} of ${numPictures}.`, 'Pictures count from 0.');
      }
      marks.push(
        found.length === 2 ? { kind: 'points', picture, points: [found] } : { kind: 'boxes', picture, boxes: [found] },
      );
      return found.length === 2 ? '<points>' : '<boxes>';
    });
  const filled = turns.map((turn): SampleTurn => {
    const marks: Mark[] = [];
    return { ...turn, question: fill(turn.question, marks), answer: fill(turn.answer, marks), marks };
  });
  if (nextBox !== boxes.length) {
    throw at.error(`${boxes.length} boxes, but ${nextBox} <bbox> in the text.`, 'Give one box for each <bbox>.');
  }
  if (nextName !== names.length) {
    throw at.error(
      `${names.length} names, but ${nextName} <ref-object> in the text.`,
      'Give one for each <ref-object>.',
    );
  }
  return filled;
}

function readBoxes(values: readonly unknown[], place: Place): (PixelBox | PixelPoint)[] {
  return values.map((value, i) => {
    const at = place.at(`bbox[${i}]`);
    return asList(value, at).length === 2 ? asPoint(value, at) : asBox(value, 'corners', at);
  });
}
