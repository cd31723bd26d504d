/** COCO's `instances.json` and captions: pictures by id, things of a picture, captions. */
import type { DataSetOf } from '../../config/data-sets.js';
import type { PixelBox } from '../../images/frames.js';
import {
  boxesMark,
  boxField,
  type Draft,
  type Drafts,
  type PictureName,
  type Size,
  sizeOf,
  textField,
} from '../draft.js';
import { indexById, type JsonDocument, openJson, type Records } from '../json-records.js';
import { ById, type Id, idField, type Place } from '../place.js';
import { loadTemplates } from '../templates.js';

/** A picture of a COCO file. */
export interface CocoPicture extends PictureName {
  readonly name: string;
  readonly id: Id;
  readonly size?: Size;
}

/** The list `images` by id. */
export function readCocoPictures(document: JsonDocument): ReadonlyMap<Id, CocoPicture> {
  const images = document.list('images');
  const pictures = new ById<CocoPicture>('image');
  for (let i = 0; i < images.length; i++) {
    const place = images.place(i);
    const image = images.object(i);
    const size = sizeOf(image);
    const picture = { name: textField(image, 'file_name', place), id: idField(image, 'id', place) };
    pictures.add(picture.id, size === undefined ? picture : { ...picture, size }, place);
  }
  return pictures.values;
}

/** The picture with the id that a record names. */
export function pictureOf(pictures: ReadonlyMap<Id, CocoPicture>, id: Id, place: Place): CocoPicture {
  const picture = pictures.get(id);
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
  readonly pictures: ReadonlyMap<Id, CocoPicture>;
  readonly #annotations: Records;
  readonly #byId: ReadonlyMap<Id, number>;

  constructor(document: JsonDocument) {
    this.pictures = readCocoPictures(document);
    this.#annotations = document.list('annotations');
    this.#byId = indexById(this.#annotations, 'id', 'annotation');
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
    const annotation = this.#annotations.object(index);
    const picture = pictureOf(this.pictures, idField(annotation, 'image_id', place), place);
    return { picture, box: boxField(annotation, 'bbox', 'size', place, picture.size) };
  }
}

/** Captions: one sample for each. */
export async function openCocoCaptions(config: DataSetOf<'coco-captions'>): Promise<Drafts> {
  const document = openJson(config.file);
  const pictures = readCocoPictures(document);
  const captions = document.list('annotations');
  const templates = await loadTemplates('caption', config.templates);
  const picture = (i: number): CocoPicture => {
    const place = captions.place(i);
    return pictureOf(pictures, idField(captions.object(i), 'image_id', place), place);
  };
  return {
    length: captions.length,
    pictures: (i) => [picture(i)],
    draft: (i, random) => {
      const place = captions.place(i);
      const answer = textField(captions.object(i), 'caption', place);
      const turns = [{ question: templates.draw(random), answer, marks: [] }];
      return { key: String(i + 1), place, pictures: [picture(i)], turns };
    },
  };
}

/** Things: `rec` asks for all boxes of a category in a picture, `reg` for the category of a box. */
export async function openCocoInstances(config: DataSetOf<'coco-instances'>): Promise<Drafts> {
  const document = openJson(config.file);
  const pictures = readCocoPictures(document);
  const annotations = document.list('annotations');
  const names = readCategories(document);
  const groups = config.task === 'rec' ? groupByCategory(annotations) : eachThing(annotations);
  const templates = await loadTemplates(config.task, config.templates);
  return {
    length: groups.length,
    draft: (index, random): Draft => {
      const [first, ...rest] = groups[index]! as [number, ...number[]];
      const place = annotations.place(first);
      const annotation = annotations.object(first);
      const picture = pictureOf(pictures, idField(annotation, 'image_id', place), place);
      const categoryId = idField(annotation, 'category_id', place);
      const name = names.get(categoryId);
      if (name === undefined) throw place.error(`there is no category ${JSON.stringify(categoryId)} in the file.`);
      const box = (i: number): PixelBox =>
        boxField(annotations.object(i), 'bbox', 'size', annotations.place(i), picture.size);
      const mark = boxesMark(box(first), ...rest.map(box));
      const turn =
        config.task === 'rec'
          ? { question: templates.draw(random, { '<expr>': name }), answer: 'Answer: <boxes> .', marks: [mark] }
          : { question: templates.draw(random, { '<objs>': '<boxes>' }), answer: name, marks: [mark] };
      return { key: String(first + 1), place, pictures: [picture], turns: [turn] };
    },
  };
}

function readCategories(document: JsonDocument): ReadonlyMap<Id, string> {
  const categories = document.list('categories');
  const names = new ById<string>('category');
  for (let i = 0; i < categories.length; i++) {
    const place = categories.place(i);
    const category = categories.object(i);
    names.add(idField(category, 'id', place), textField(category, 'name', place), place);
  }
  return names.values;
}

/** Crowds are regions, not things. */
function isCrowd(annotations: Records, i: number): boolean {
  return annotations.object(i)['iscrowd'] === 1;
}

function eachThing(annotations: Records): number[][] {
  return Array.from({ length: annotations.length }, (_, i) => [i]).filter(([i]) => !isCrowd(annotations, i!));
}

function groupByCategory(annotations: Records): number[][] {
  const groups = new Map<string, number[]>();
  for (let i = 0; i < annotations.length; i++) {
    if (isCrowd(annotations, i)) continue;
    const place = annotations.place(i);
    const annotation = annotations.object(i);
    const key = JSON.stringify([idField(annotation, 'image_id', place), idField(annotation, 'category_id', place)]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [i]);
    else group.push(i);
  }
  return [...groups.values()];
}
