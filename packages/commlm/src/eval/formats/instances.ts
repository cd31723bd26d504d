/** COCO's `instances.json`: boxes of things and sizes of pictures. */
import type { CornerBox } from '../metrics/rec.js';
import { asObject, ById, type Id, idField, listField, numberField, Place, readJson, stringField } from './files.js';

/** A picture of the file. */
export interface InstancePicture {
  readonly fileName: string;
  readonly width: number;
  readonly height: number;
}

/** Pictures and boxes by id; boxes are corners in pixels, made of the file's x, y, width, height. */
export interface Instances {
  readonly pictures: ReadonlyMap<Id, InstancePicture>;
  readonly boxes: ReadonlyMap<Id, { readonly box: CornerBox; readonly imageId: Id }>;
}

/** Reads `{images: [{id, file_name, width, height}], annotations: [{id, image_id, bbox}]}`. */
export async function readInstances(path: string): Promise<Instances> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const pictures = new ById<InstancePicture>('image');
  listField(root, 'images', place).forEach((value, i) => {
    const at = place.at(`images[${i}]`);
    const image = asObject(value, at);
    const width = numberField(image, 'width', at);
    const height = numberField(image, 'height', at);
    pictures.add(idField(image, 'id', at), { fileName: stringField(image, 'file_name', at), width, height }, at);
  });
  const boxes = new ById<{ box: CornerBox; imageId: Id }>('annotation');
  listField(root, 'annotations', place).forEach((value, i) => {
    const at = place.at(`annotations[${i}]`);
    const annotation = asObject(value, at);
    const numbers = listField(annotation, 'bbox', at);
    if (numbers.length !== 4 || numbers.some((n) => typeof n !== 'number' || !Number.isFinite(n))) {
      throw at.error('"bbox" must be four numbers x, y, width, height.');
    }
    const [x, y, width, height] = numbers as [number, number, number, number];
    const entry = { box: [x, y, x + width, y + height] as const, imageId: idField(annotation, 'image_id', at) };
    boxes.add(idField(annotation, 'id', at), entry, at);
  });
  return { pictures: pictures.values, boxes: boxes.values };
}
