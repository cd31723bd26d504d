/** COCO's `instances.json` and captions: pictures by id, things of a picture, captions. */
import type { DataSetOf } from '../../config/data-sets.js';
import { CommError } from '../../config/errors.js';
import type { PixelBox } from '../../images/frames.js';
import { boxesMark, boxField, sizeOf } from '../boxes.js';
import { type Draft, type Drafts, type PictureName, textField } from '../draft.js';
import { indexById, type JsonDocument, openJson, type Records } from '../json-records.js';
import { type KeyCheck, refuseContent } from '../keys.js';
import { ById, type Id, idField, type JsonObject, type Place } from '../place.js';
import { loadTemplates } from '../templates.js';

/** A picture of a COCO file. */
export interface CocoPicture extends PictureName {
  readonly name: string;
  readonly id: Id;
}

/** Entries by id; the fault of one whose keys say that it is not for learning is told where the entry is used. */
type Checked<Value> = ReadonlyMap<Id, Value | CommError>;

/** The list `images` by id. */
function readCocoPictures(document: JsonDocument, check: KeyCheck): Checked<CocoPicture> {
  const images = document.list('images');
  const pictures = new ById<CocoPicture | CommError>('image');
  for (let i = 0; i < images.length; i++) {
    const place = images.place(i);
    const image = images.object(i);
    const id = idField(image, 'id', place);
    const picture = { name: textField(image, 'file_name', place), id, size: sizeOf(image, place) };
    pictures.add(id, faultOf(() => check(image, place)) ?? picture, place);
  }
  return pictures.values;
}

/** The picture with the id that a record names. */
function pictureOf(pictures: Checked<CocoPicture>, id: Id, place: Place): CocoPicture {
  const picture = pictures.get(id);
  if (picture instanceof CommError) throw picture;
  if (picture !== undefined) return picture;
  throw place.error(
    `there is no image ${JSON.stringify(id)} in the file of instances.`,
    'Use files that belong together.',
  );
}

/** A box of the list `annotations`. */
export interface CocoThing {
  readonly picture: CocoPicture;
  readonly box: PixelBox;
}

/** Boxes by annotation id, read when they are asked for. */
export class CocoThings {
  readonly #pictures: Checked<CocoPicture>;
  readonly #annotations: Records;
  readonly #check: KeyCheck;
  readonly #byId: ReadonlyMap<Id, number>;
  readonly #crowds = new Set<number>();

  constructor(document: JsonDocument, check: KeyCheck) {
    this.#pictures = readCocoPictures(document, check);
    this.#annotations = document.list('annotations');
    this.#check = check;
    this.#byId = indexById(this.#annotations, 'id', 'annotation', (annotation, i) => {
      if (orUndefined(() => isCrowd(annotation, this.#annotations.place(i))) === true) this.#crowds.add(i);
    });
  }

  /** Whether the box of that id is one of a crowd, which no expression is about. */
  isCrowd(id: Id): boolean {
    const index = this.#byId.get(id);
    return index !== undefined && this.#crowds.has(index);
  }

  /** @throws CommError `data/sample` at `from` when there is none of that id. */
  thing(id: Id, from: Place): CocoThing {
    const index = this.#byId.get(id);
    if (index === undefined) {
      throw from.error(
        `there is no annotation ${JSON.stringify(id)} in the file of instances.`,
        'Use files that belong together.',
      );
    }
    const place = this.#annotations.place(index);
    const annotation = readThing(this.#annotations, index, this.#check);
    const picture = pictureOf(this.#pictures, idField(annotation, 'image_id', place), place);
    return { picture, box: boxField(annotation, 'bbox', 'size', place) };
  }
}

/** Captions: one sample for each. */
export async function openCocoCaptions(config: DataSetOf<'coco-captions'>): Promise<Drafts> {
  const document = openJson(config.file);
  const check = refuseContent(config.ignoreKeys);
  const pictures = readCocoPictures(document, check);
  const captions = document.list('annotations');
  const templates = await loadTemplates('caption', config.templates);
  // A caption holds of a picture of any size.
  const picture = (i: number): PictureName => {
    const place = captions.place(i);
    const { id, name } = pictureOf(pictures, idField(captions.object(i), 'image_id', place), place);
    return { id, name };
  };
  return {
    length: captions.length,
    pictures: (i) => [picture(i)],
    draft: (i, random) => {
      const place = captions.place(i);
      check(captions.object(i), place);
      const answer = textField(captions.object(i), 'caption', place);
      const turns = [{ question: templates.draw(random), answer, marks: [] }];
      return { key: String(i + 1), place, pictures: [picture(i)], turns };
    },
  };
}

/** Things: `rec` asks for all boxes of a category in a picture, `reg` for the category of a box. */
export async function openCocoInstances(config: DataSetOf<'coco-instances'>): Promise<Drafts> {
  const document = openJson(config.file);
  const check = refuseContent(config.ignoreKeys);
  const pictures = readCocoPictures(document, check);
  const annotations = document.list('annotations');
  const names = readCategories(document, check);
  const things = new Things(annotations, check);
  const groups = config.task === 'rec' ? things.byCategory() : things.each();
  const templates = await loadTemplates(config.task, config.templates);
  return {
    length: groups.length,
    leftOut: things.leftOut,
    draft: (index, random): Draft => {
      const [first, ...rest] = groups[index]! as [number, ...number[]];
      const place = annotations.place(first);
      const annotation = things.read(first);
      const picture = pictureOf(pictures, idField(annotation, 'image_id', place), place);
      const categoryId = idField(annotation, 'category_id', place);
      const name = names.get(categoryId);
      if (name instanceof CommError) throw name;
      if (name === undefined) throw place.error(`there is no category ${JSON.stringify(categoryId)} in the file.`);
      const box = (i: number): PixelBox => boxField(things.read(i), 'bbox', 'size', annotations.place(i));
      const mark = boxesMark(box(first), ...rest.map(box));
      const turn =
        config.task === 'rec'
          ? { question: templates.draw(random, { '<expr>': name }), answer: 'Answer: <boxes> .', marks: [mark] }
          : { question: templates.draw(random, { '<objs>': '<boxes>' }), answer: name, marks: [mark] };
      return { key: String(first + 1), place, pictures: [picture], turns: [turn] };
    },
  };
}

function readCategories(document: JsonDocument, check: KeyCheck): Checked<string> {
  const categories = document.list('categories');
  const names = new ById<string | CommError>('category');
  for (let i = 0; i < categories.length; i++) {
    const place = categories.place(i);
    const category = categories.object(i);
    const name = textField(category, 'name', place);
    names.add(idField(category, 'id', place), faultOf(() => check(category, place)) ?? name, place);
  }
  return names.values;
}

/** What annotations of crowds are counted as. */
export const CROWD = 'crowd region';

/** Annotations of things; those of crowds are regions and left out. */
class Things {
  readonly leftOut: Record<string, number> = {};
  readonly #annotations: Records;
  readonly #check: KeyCheck;
  readonly #ids = new Set<unknown>();
  /** Annotations whose id another one before them has. */
  readonly #repeated = new Set<number>();

  constructor(annotations: Records, check: KeyCheck) {
    this.#annotations = annotations;
    this.#check = check;
  }

  /** An annotation whose keys and flags are as they should be. */
  read(i: number): JsonObject {
    if (this.#repeated.has(i)) {
      const { id } = this.#annotations.object(i);
      throw this.#annotations
        .place(i)
        .error(
          `annotation ${JSON.stringify(id)} is there already.`,
          'Remove one of the two, or give it an id of its own.',
        );
    }
    return readThing(this.#annotations, i, this.#check);
  }

  each(): number[][] {
    return this.#indices().map((i) => [i]);
  }

  /** Those of one category in one picture together; a faulty one stands alone, to be told of when it is read. */
  byCategory(): number[][] {
    const groups = new Map<string, number[]>();
    for (const i of this.#indices()) {
      const key = this.#categoryOf(i) ?? `faulty ${i}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [i]);
      else group.push(i);
    }
    return [...groups.values()];
  }

  #indices(): number[] {
    return Array.from({ length: this.#annotations.length }, (_, i) => i).filter((i) => !this.#isLeftOut(i));
  }

  #isLeftOut(i: number): boolean {
    const found = orUndefined(() => {
      const annotation = this.#annotations.object(i);
      const { id } = annotation;
      if (this.#ids.has(id)) this.#repeated.add(i);
      else if (id !== undefined) this.#ids.add(id);
      return isCrowd(annotation, this.#annotations.place(i));
    });
    if (found === true) this.leftOut[CROWD] = (this.leftOut[CROWD] ?? 0) + 1;
    return found === true;
  }

  #categoryOf(i: number): string | undefined {
    if (this.#repeated.has(i)) return undefined;
    const place = this.#annotations.place(i);
    return orUndefined(() => {
      const annotation = this.#annotations.object(i);
      return JSON.stringify([idField(annotation, 'image_id', place), idField(annotation, 'category_id', place)]);
    });
  }
}

/** An annotation whose keys and flags are as they should be. */
function readThing(annotations: Records, i: number, check: KeyCheck): JsonObject {
  const annotation = annotations.object(i);
  const place = annotations.place(i);
  check({ ...annotation, ignore: null }, place);
  isCrowd(annotation, place);
  return annotation;
}

/** The fault that a check throws. */
function faultOf(check: () => void): CommError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof CommError) return error;
    throw error;
  }
}

/** What a record says, or undefined for a faulty one, whose fault is told when it is read. */
function orUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof CommError) return undefined;
    throw error;
  }
}

/** COCO's `iscrowd`, and the `ignore` of tools that write its format: 0 or 1, or what other languages make of them. */
function isCrowd(annotation: JsonObject, place: Place): boolean {
  return flag(annotation, 'iscrowd', place) || flag(annotation, 'ignore', place);
}

const YES: readonly unknown[] = [1, true, '1', 'true', 'True'];
const NO: readonly unknown[] = [undefined, null, 0, false, '0', 'false', 'False', ''];

function flag(annotation: JsonObject, name: string, place: Place): boolean {
  const value = annotation[name];
  if (YES.includes(value)) return true;
  if (NO.includes(value)) return false;
  throw place.error(`"${name}" is ${JSON.stringify(value)}, which is neither 0 nor 1.`, 'Write 1 for a crowd, else 0.');
}
