/**
 * From a record of a file to a sample: every reader makes a draft of one record, and what all of them have in common is
 * done here: ids, keys of pictures, the choice by draw, and the check of placeholders and boxes.
 */
import type { PixelBox, PixelPoint } from '../images/frames.js';
import type { Records } from './json-records.js';
import { asList, asObject, type Id, type JsonObject, listField, type Place } from './place.js';
import type { DataSet, Mark, Sample, SampleTurn } from './sample.js';
import { Random } from './world/random.js';

/** What a record says about its picture: a name, an id, or both. */
export interface PictureName {
  readonly name?: string;
  readonly id?: Id;
}

/** A sample before its picture keys are made. */
export interface Draft {
  /** Which record of the file, counted from 1, with a part behind a point where a record gives several samples. */
  readonly key: string;
  readonly place: Place;
  readonly pictures: readonly PictureName[];
  readonly turns: readonly SampleTurn[];
}

/** A data set before pictures are named and left out. */
export interface Drafts {
  readonly length: number;
  draft(index: number, random: Random): Draft;
  /** The pictures of a sample, for those formats that know them without making the draft. */
  readonly pictures?: (index: number) => readonly PictureName[];
}

/** One sample for each record of a file, by its number. */
export function eachRecord(
  records: Records,
  draft: (record: JsonObject, place: Place, random: Random) => Pick<Draft, 'pictures' | 'turns'>,
): Drafts {
  return {
    length: records.length,
    draft: (index, random) => {
      const place = records.place(index);
      return { key: String(index + 1), place, ...draft(records.object(index), place, random) };
    },
  };
}

/** How keys of pictures are made, and which pictures are left out. */
export interface PictureRules {
  readonly store: string;
  /** Form of a key: `{name}` as the file says, `{base}` without folders, `{id}`, `{id:12}` with zeros in front. */
  readonly picture: string;
  /** Names or ids of pictures that no sample may show. */
  readonly excluded?: ReadonlySet<string>;
}

/** A data set of drafts. Samples of excluded pictures are left out; faulty records stay, to be told of when they are read. */
export function dataSet(name: string, drafts: Drafts, rules: PictureRules): DataSet {
  const kept = rules.excluded === undefined ? undefined : keptIndices(drafts, rules.excluded);
  return {
    name,
    length: kept?.length ?? drafts.length,
    sample: (index, draw) => {
      const record = kept === undefined ? index : kept[index];
      if (record === undefined || !(record >= 0 && record < drafts.length)) {
        throw new RangeError(`the data set ${name} has no sample ${index}`);
      }
      return finish(drafts.draft(record, new Random(draw, `${name}/${record}`)), name, rules);
    },
  };
}

function keptIndices(drafts: Drafts, excluded: ReadonlySet<string>): Uint32Array {
  const kept = new Uint32Array(drafts.length);
  let n = 0;
  for (let i = 0; i < drafts.length; i++) if (!isExcluded(drafts, i, excluded)) kept[n++] = i;
  return kept.slice(0, n);
}

function isExcluded(drafts: Drafts, index: number, excluded: ReadonlySet<string>): boolean {
  let pictures: readonly PictureName[];
  try {
    pictures = drafts.pictures?.(index) ?? drafts.draft(index, new Random(0, '')).pictures;
  } catch {
    // Which picture a faulty record shows is not known; whoever reads it is told of the fault.
    return false;
  }
  return pictures.some((picture) => spellings(picture).some((spelling) => excluded.has(spelling)));
}

/** What a list of excluded pictures may call one: whole name, without folders, without ending, id, COCO's number. */
function spellings({ name, id }: PictureName): string[] {
  const base = name?.split('/').pop();
  const stem = base?.replace(/\.[^.]+$/, '');
  const number = stem === undefined ? undefined : /(?:^|_)0*(\d+)$/.exec(stem)?.[1];
  return [name, base, stem, number, id === undefined ? undefined : String(id)].filter((text) => text !== undefined);
}

function finish(draft: Draft, set: string, { store, picture }: PictureRules): Sample {
  const { place, turns } = draft;
  const numShown = turns.reduce((sum, turn) => sum + count(turn.question, IMAGE) + count(turn.answer, IMAGE), 0);
  if (numShown !== draft.pictures.length) {
    throw place.error(
      `${numShown} <image> in the text, but ${draft.pictures.length} pictures.`,
      'Give one picture for each <image>.',
      'data/image-count',
    );
  }
  for (const turn of turns) checkMarks(turn, draft.pictures.length, place);
  const pictures = draft.pictures.map((named) => ({ store, key: pictureKey(picture, named, place) }));
  return { id: `${set}/${draft.key}`, where: String(place), pictures, turns };
}

const IMAGE = /<image>/g;
const PLACEHOLDER = /<boxes>|<points>/g;

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

function checkMarks({ question, answer, marks }: SampleTurn, numPictures: number, place: Place): void {
  const found = [...question.matchAll(PLACEHOLDER), ...answer.matchAll(PLACEHOLDER)].map(([text]) => text);
  if (found.length !== marks.length || found.some((text, i) => text !== `<${marks[i]!.kind}>`)) {
    throw place.error(
      `the text has the placeholders ${found.join(' ') || 'none'}, but the coordinates are ${marks.map(({ kind }) => kind).join(' ') || 'none'}.`,
      'Give coordinates for each <boxes> and <points>, and write neither of them in plain text.',
    );
  }
  const lost = marks.find((mark) => mark.picture >= numPictures);
  if (lost !== undefined) throw place.error(`coordinates lie on picture ${lost.picture + 1} of ${numPictures}.`);
}

/** The key of a picture by its form. */
export function pictureKey(form: string, { name, id }: PictureName, place: Place): string {
  return form.replace(/\{(name|base|id)(?::(\d+))?\}/g, (_, field: string, width?: string) => {
    const value = field === 'id' ? id : field === 'base' ? name?.split('/').pop() : name;
    if (value === undefined) {
      throw place.error(
        `the form of the picture keys, "${form}", needs ${field === 'id' ? 'an id' : 'a name'}, which the record does not have.`,
        `Use {${field === 'id' ? 'name' : 'id'}} in "picture".`,
      );
    }
    return String(value).padStart(Number(width ?? 0), '0');
  });
}

/** Width and height of a picture in pixels, where the file tells. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Four numbers as a box. `corners`: x1, y1, x2, y2; `size`: x, y, width, height. Cut to the picture if that is known. */
export function asBox(value: unknown, form: 'corners' | 'size', place: Place, picture?: Size): PixelBox {
  const numbers = asNumbers(value, 4, place, form === 'corners' ? 'x1, y1, x2, y2' : 'x, y, width, height');
  const [x1, y1, c, d] = numbers as [number, number, number, number];
  const [x2, y2] = form === 'corners' ? [c, d] : [x1 + c, y1 + d];
  if (x2 < x1 || y2 < y1) {
    throw place.error(
      form === 'corners'
        ? `the box ${numbers.join(', ')} has its corners the wrong way round.`
        : `the box ${numbers.join(', ')} has a size below zero.`,
      form === 'corners' ? 'The form is x1, y1, x2, y2, not x, y, width, height.' : 'The form is x, y, width, height.',
    );
  }
  if (x2 < 0 || y2 < 0 || (picture !== undefined && (x1 > picture.width || y1 > picture.height))) {
    const size = picture === undefined ? '' : ` (${picture.width} x ${picture.height})`;
    throw place.error(`the box ${numbers.join(', ')} lies outside of the picture${size}.`, 'Boxes are in its pixels.');
  }
  // Published boxes reach over the edge by a pixel or two.
  const right = picture?.width ?? x2;
  const bottom = picture?.height ?? y2;
  return [Math.max(x1, 0), Math.max(y1, 0), Math.min(x2, right), Math.min(y2, bottom)];
}

/** Two numbers as a point in pixels. */
export function asPoint(value: unknown, place: Place): PixelPoint {
  const [x, y] = asNumbers(value, 2, place, 'x, y') as [number, number];
  if (x < 0 || y < 0)
    throw place.error(`the point ${x}, ${y} lies outside of the picture.`, 'Points are in its pixels.');
  return [x, y];
}

function asNumbers(value: unknown, n: number, place: Place, form: string): number[] {
  const list = asList(value, place);
  if (list.length !== n || list.some((item) => typeof item !== 'number' || !Number.isFinite(item))) {
    throw place.error(`${n} numbers ${form} are needed, but this is ${JSON.stringify(value).slice(0, 60)}.`);
  }
  return list as number[];
}

/** A field with one box. */
export function boxField(
  object: JsonObject,
  name: string,
  form: 'corners' | 'size',
  place: Place,
  picture?: Size,
): PixelBox {
  return asBox(listField(object, name, place), form, place.at(name), picture);
}

/** A field with a list of boxes. */
export function boxesField(object: JsonObject, name: string, place: Place, picture?: Size): PixelBox[] {
  return listField(object, name, place).map((box, i) => asBox(box, 'corners', place.at(`${name}[${i}]`), picture));
}

/** Shikra's `boxes_seq`: for each placeholder the indices of its boxes. */
export function boxGroups(sequence: unknown, boxes: readonly PixelBox[], place: Place): Mark[] {
  return asList(sequence, place).map((group, i): Mark => {
    const at = place.at(`group ${i + 1}`);
    const chosen = asList(group, at).map((index) => {
      const box = typeof index === 'number' ? boxes[index] : undefined;
      if (box === undefined)
        throw at.error(`${JSON.stringify(index)} is not the index of one of ${boxes.length} boxes.`);
      return box;
    });
    if (chosen.length === 0) throw at.error('the group has no box.');
    return { kind: 'boxes', picture: 0, boxes: chosen };
  });
}

/** Boxes of the first picture. */
export const boxesMark = (...boxes: PixelBox[]): Mark => ({ kind: 'boxes', picture: 0, boxes });

/** Points of the first picture. */
export const pointsMark = (...points: PixelPoint[]): Mark => ({ kind: 'points', picture: 0, points });

/** Optional `width` and `height`. */
export function sizeOf(object: JsonObject): Size | undefined {
  const { width, height } = object;
  return typeof width === 'number' && typeof height === 'number' && width > 0 && height > 0
    ? { width, height }
    : undefined;
}

/** An object in a list field. */
export function objectAt(list: readonly unknown[], index: number, place: Place): JsonObject {
  return asObject(list[index], place.at(`[${index}]`));
}

/** A text that is not blank. */
export function textField(object: JsonObject, name: string, place: Place): string {
  const value = object[name];
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || text.trim() === '') {
    throw place.error(
      value === undefined
        ? `the field "${name}" is missing; found ${Object.keys(object).slice(0, 8).join(', ') || 'none'}.`
        : `"${name}" must be a text that is not blank.`,
      'Correct the record.',
    );
  }
  return text.trim();
}
