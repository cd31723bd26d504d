/**
 * Chat messages, one conversation a line: `{messages: [{role, content}]}` with content as text or as OpenAI's parts, and
 * ms-swift's form with `images` and `objects: {ref, bbox}` for `<image>`, `<ref-object>` and `<bbox>` in the text.
 */
import type { DataSetOf } from '../../config/data-sets.js';
import type { PixelBox } from '../../images/frames.js';
import { asBox, type Drafts, eachRecord, type PictureName } from '../draft.js';
import { asList, asObject, type JsonObject, listField, type Place, stringField } from '../place.js';
import type { Mark, SampleTurn } from '../sample.js';
import { openArrayOrLines, pairUp, placePicture } from './llava.js';

/** Conversations: one sample for each. */
export async function openChat({ file }: DataSetOf<'chat'>): Promise<Drafts> {
  return eachRecord(openArrayOrLines(file), readChat);
}

function readChat(record: JsonObject, place: Place): { pictures: PictureName[]; turns: SampleTurn[] } {
  const inParts: string[] = [];
  const texts = listField(record, 'messages', place).map((value, i) => {
    const at = place.at(`messages[${i}]`);
    const message = asObject(value, at);
    requireRole(stringField(message, 'role', at), i, at);
    return contentText(message['content'], inParts, at);
  });
  const beside = imagesBeside(record, place);
  if (beside.length > 0 && inParts.length > 0) {
    throw place.error('pictures stand both in "images" and in the messages.', 'Keep one of the two.');
  }
  const names = [...inParts, ...beside];
  const turns = placePicture(pairUp(texts, place), names.length);
  return { pictures: names.map((name) => ({ name })), turns: fillObjects(turns, record, names.length, place) };
}

function requireRole(role: string, index: number, place: Place): void {
  const wanted = index % 2 === 0 ? 'user' : 'assistant';
  if (role === wanted) return;
  throw place.error(
    `the role is ${JSON.stringify(role)} where "${wanted}" is due.`,
    role === 'system' ? "Remove it: the system text is the model's own." : 'user and assistant take turns, user first.',
  );
}

/** Text of a message; pictures in its parts become `<image>` and are added to `pictures`. */
function contentText(content: unknown, pictures: string[], place: Place): string {
  if (typeof content === 'string') return content;
  const parts = asList(content, place.at('content')).map((value, i) => {
    const at = place.at(`content[${i}]`);
    const part = asObject(value, at);
    const type = stringField(part, 'type', at);
    if (type === 'text') return stringField(part, 'text', at);
    if (type !== 'image_url') throw at.error(`the part "${type}" is not known.`, 'Parts are text and image_url.');
    const url = stringField(asObject(part['image_url'], at.at('image_url')), 'url', at);
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

function imagesBeside(record: JsonObject, place: Place): string[] {
  if (record['images'] === undefined) return [];
  return listField(record, 'images', place).map((value, i) => {
    const at = place.at(`images[${i}]`);
    if (typeof value === 'string' && value !== '') return value;
    return stringField(asObject(value, at), 'path', at);
  });
}

const OBJECT_PLACE = /<ref-object>|<bbox>/g;

/** ms-swift's `objects`: names for `<ref-object>`, pixels for `<bbox>`, each in order. */
function fillObjects(
  turns: readonly SampleTurn[],
  record: JsonObject,
  numPictures: number,
  place: Place,
): SampleTurn[] {
  if (record['objects'] === undefined) return [...turns];
  const at = place.at('objects');
  const objects = asObject(record['objects'], at);
  const names = objects['ref'] === undefined ? [] : listField(objects, 'ref', at);
  const boxes = listField(objects, 'bbox', at).map((box, i) => boxOrPoint(box, at.at(`bbox[${i}]`)));
  if (objects['bbox_type'] !== undefined && objects['bbox_type'] !== 'real') {
    throw at.error(`"bbox_type" is ${JSON.stringify(objects['bbox_type'])}.`, 'Give boxes in pixels ("real").');
  }
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
  const filled = turns.map(({ question, answer }): SampleTurn => {
    const marks: Mark[] = [];
    return { question: fill(question, marks), answer: fill(answer, marks), marks };
  });
  if (nextBox !== boxes.length) {
    throw at.error(`${boxes.length} boxes, but ${nextBox} <bbox> in the text.`, 'Give one box for each <bbox>.');
  }
  return filled;
}

function boxOrPoint(value: unknown, place: Place): PixelBox | readonly [number, number] {
  const numbers = asList(value, place);
  if (numbers.length !== 2) return asBox(value, 'corners', place);
  const [x, y] = numbers;
  if (typeof x === 'number' && typeof y === 'number' && x >= 0 && y >= 0) return [x, y];
  throw place.error('the point is not two numbers of zero or more.', 'Points are in pixels of the picture.');
}
