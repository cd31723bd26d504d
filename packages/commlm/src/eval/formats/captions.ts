/** Caption files: COCO captions JSON and Karpathy's splits. */
import { asObject, ById, type Id, idField, type JsonObject, listField, Place, readJson, stringField } from './files.js';

/** Reference captions by image, in the order of the file. */
export type CaptionReferences = ReadonlyMap<Id, readonly string[]>;

/** The ids and parts of a Karpathy file. */
const KARPATHY_SPLITS = ['train', 'restval', 'val', 'test'];

/**
 * Reads reference captions from a COCO captions file, or from a Karpathy file (`dataset_*.json`) and a split of it. The id
 * of a Karpathy image is its `cocoid`, else its `imgid`, unless `ids` asks for the file name.
 */
export async function readCaptionReferences(
  path: string,
  options: { readonly split?: string | undefined; readonly fileNameIds?: boolean | undefined } = {},
): Promise<CaptionReferences> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const isKarpathy = Array.isArray(root['images']) && !('annotations' in root);
  if (isKarpathy) return readKarpathy(root, place, options);
  if (options.split !== undefined) {
    throw place.error('a split was asked for, but this file has no splits.', 'Leave out --split.', 'score/no-split');
  }
  return readCoco(root, place);
}

function readCoco(root: JsonObject, place: Place): CaptionReferences {
  const images = new ById<string[]>('image');
  listField(root, 'images', place).forEach((value, i) => {
    const at = place.at(`images[${i}]`);
    images.add(idField(asObject(value, at), 'id', at), [], at);
  });
  const annotations = new ById<true>('annotation');
  listField(root, 'annotations', place).forEach((value, i) => {
    const at = place.at(`annotations[${i}]`);
    const annotation = asObject(value, at);
    if ('id' in annotation) annotations.add(idField(annotation, 'id', at), true, at);
    const imageId = idField(annotation, 'image_id', at);
    const captions = images.values.get(imageId);
    if (captions === undefined) throw at.error(`image ${JSON.stringify(imageId)} is not in "images".`);
    captions.push(stringField(annotation, 'caption', at));
  });
  const captioned = new Map([...images.values].filter(([, captions]) => captions.length > 0));
  if (captioned.size === 0) throw place.error('the file holds no captions.');
  return captioned;
}

function readKarpathy(
  root: JsonObject,
  place: Place,
  options: { readonly split?: string | undefined; readonly fileNameIds?: boolean | undefined },
): CaptionReferences {
  const { split } = options;
  if (split === undefined) {
    throw place.error(
      'this is a Karpathy file with splits.',
      'Name one with --split, for example --split test.',
      'score/no-split',
    );
  }
  const references = new ById<string[]>('image');
  const found = new Set<string>();
  listField(root, 'images', place).forEach((value, i) => {
    const at = place.at(`images[${i}]`);
    const image = asObject(value, at);
    const imageSplit = stringField(image, 'split', at);
    found.add(imageSplit);
    if (imageSplit !== split) return;
    const id = options.fileNameIds
      ? stringField(image, 'filename', at)
      : idField(image, 'cocoid' in image ? 'cocoid' : 'imgid', at);
    const sentences = listField(image, 'sentences', at).map((sentence, k) => {
      const sentenceAt = at.at(`sentences[${k}]`);
      return stringField(asObject(sentence, sentenceAt), 'raw', sentenceAt);
    });
    if (sentences.length === 0) throw at.error('the image has no sentences.');
    references.add(id, sentences, at);
  });
  if (references.values.size === 0) {
    const names = KARPATHY_SPLITS.filter((name) => found.has(name)).concat(
      [...found].filter((n) => !KARPATHY_SPLITS.includes(n)),
    );
    throw place.error(
      `no image is in the split "${split}".`,
      `Its splits are ${names.join(', ') || 'none'}.`,
      'score/no-split',
    );
  }
  return references.values;
}
