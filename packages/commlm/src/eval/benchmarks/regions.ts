/** Regions of the RefCOCO family from the files of the refer tool: refs (pickle or JSON) beside instances.json. */
import { idField } from '../formats/files.js';
import { type InstancePicture, readInstances } from '../formats/instances.js';
import { type Ref, readRefs } from '../formats/refs.js';
import type { CornerBox } from '../metrics/rec.js';
import type { DataFolder } from './data-folder.js';

/** A region with its box in pixels and its picture. */
export interface Region {
  readonly ref: Ref;
  readonly box: CornerBox;
  readonly size: { readonly width: number; readonly height: number };
  /** Key of the picture. */
  readonly picture: string;
}

/** Splits that nothing is reported on. */
const TRAINING_SPLITS: ReadonlySet<string> = new Set(['train', '']);

/** Folders that hold the pictures of the RefCOCO family. */
export const REGION_PICTURES = {
  role: 'images',
  names: ['train2014', 'coco/train2014', 'images/mscoco/images/train2014', 'images'],
};

/** Names of a data set's two files below the data folder. */
export function refRoles(
  dataSet: string,
  by: 'unc' | 'umd',
): { readonly role: string; readonly names: readonly string[] }[] {
  const own = dataSet === 'refcoco' ? ['refs.json'] : [];
  return [
    { role: 'refs', names: [`${dataSet}/refs(${by}).p`, ...own] },
    { role: 'instances', names: [`${dataSet}/instances.json`, 'instances.json'] },
  ];
}

/** Reads the regions of the splits to evaluate, split by split. */
export async function loadRegions(folder: DataFolder): Promise<readonly Region[]> {
  const path = folder.need('refs');
  const instancesPath = folder.need('instances');
  const refs = await readRefs(path);
  const found = [...new Set(refs.map(({ split }) => split))];
  const reported = found.filter((split) => !TRAINING_SPLITS.has(split));
  const splits = folder.chooseSplits(found, reported.length > 0 ? reported : found);
  const { boxes, pictures } = await readInstances(instancesPath);
  const chosen = splits.flatMap((split) => refs.filter((ref) => ref.split === split));
  const regions = chosen.map((ref) => {
    const annotation = boxes.get(idField(ref.entry, 'ann_id', ref.place));
    if (annotation === undefined) {
      throw ref.place.error(
        `its ann_id is not in ${instancesPath}.`,
        'Both files must be of one release.',
        'eval/missing-id',
      );
    }
    const picture = pictures.get(annotation.imageId);
    if (picture === undefined) {
      throw ref.place.error(`its picture is not in ${instancesPath}.`, undefined, 'eval/missing-id');
    }
    return { ref, box: annotation.box, picture };
  });
  const keys = folder.findPictures(regions.map(({ ref, picture }) => ({ id: ref.id, names: [picture.fileName] })));
  return regions.map(({ ref, box, picture }, i) => ({ ref, box, size: sizeOf(picture), picture: keys[i]! }));
}

const sizeOf = ({ width, height }: InstancePicture): Region['size'] => ({ width, height });
