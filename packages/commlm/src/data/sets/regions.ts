/** Regions and what is said about them: RefCOCO, RefCOCO+, RefCOCOg, Visual Genome, and Shikra's lines of both. */
import type { DataSetOf } from '../../config/data-sets.js';
import { CommError } from '../../config/errors.js';
import type { PixelBox } from '../../images/frames.js';
import { asBox, boxesMark, boxField, sizeOf } from '../boxes.js';
import { type Drafts, eachRecord, type PictureName, textField } from '../draft.js';
import { openJson, openJsonLines, type Records } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { asObject, ById, type Id, idField, listField, numberField, type Place, stringField } from '../place.js';
import { type RefEntry, readRefEntries } from '../refs.js';
import type { SampleTurn } from '../sample.js';
import { loadTemplates, type Templates } from '../templates.js';
import type { Random } from '../world/random.js';
import { CocoThings, CROWD } from './coco.js';
import { countParts } from './parts.js';
import { requireSamples } from './splits.js';

/** `rec` asks for the box of an expression; `reg` and `gc` for words about a box. */
function regionTurn(
  task: 'rec' | 'reg' | 'gc',
  expression: string,
  box: PixelBox,
  templates: Templates,
  random: Random,
): SampleTurn {
  const marks = [boxesMark(box)];
  return task === 'rec'
    ? { question: templates.draw(random, { '<expr>': expression }), answer: 'Answer: <boxes> .', marks }
    : { question: templates.draw(random, { '<objs>': '<boxes>' }), answer: expression, marks };
}

/** A sentence about an annotation. */
interface RefSentence {
  readonly key: string;
  readonly place: Place;
  readonly annotation: Id;
  readonly expression: string;
}

/** One sample for each sentence of a region. */
export async function openRefcoco(config: DataSetOf<'refcoco'>): Promise<Drafts> {
  const check = refuseContent(config.ignoreKeys);
  const things = new CocoThings(openJson(config.instances), check);
  const seen = new ById<true>('region');
  const found = new Set<string>();
  let numCrowds = 0;
  const sentencesOf = ({ entry, place }: RefEntry): RefSentence[] => {
    check(entry, place);
    seen.add(idField(entry, 'ref_id', place), true, place);
    if (config.splits !== undefined) {
      const split = stringField(entry, 'split', place);
      found.add(split);
      if (!config.splits.includes(split)) return [];
    }
    const annotation = idField(entry, 'ann_id', place);
    const sentences = listField(entry, 'sentences', place);
    if (things.isCrowd(annotation)) {
      numCrowds += sentences.length;
      return [];
    }
    return sentences.map((sentence, k) => {
      const at = place.at(`sentences[${k}]`);
      const key = `${place.detail.replace(/\D+/g, '')}.${k + 1}`;
      const said = asObject(sentence, at);
      check(said, at);
      return { key, place: at, annotation, expression: textField(said, 'sent', at) };
    });
  };
  const items = readRefEntries(config.refs).flatMap((entry): (RefSentence | CommError)[] => {
    try {
      return sentencesOf(entry);
    } catch (fault) {
      // Told of when the sample is read, like the faults of the others.
      if (fault instanceof CommError) return [fault];
      throw fault;
    }
  });
  requireSamples(items.length, config.refs, config.splits, found);
  const templates = await loadTemplates(config.task, config.templates);
  return {
    length: items.length,
    leftOut: numCrowds === 0 ? {} : { [CROWD]: numCrowds },
    draft: (index, random) => {
      const item = items[index]!;
      if (item instanceof CommError) throw item;
      const { key, place, annotation, expression } = item;
      const { picture, box } = things.thing(annotation, place);
      return { key, place, pictures: [picture], turns: [regionTurn(config.task, expression, box, templates, random)] };
    },
  };
}

/** Shikra's REC, REG and GC lines. */
export async function openRegionLines(config: DataSetOf<'region-lines'>): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const templates = await loadTemplates(config.task, config.templates);
  return eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
    const box = boxField(line, 'bbox', 'corners', place);
    const turn = regionTurn(config.task, textField(line, 'expression', place), box, templates, random);
    const pictures = [{ name: textField(line, 'img_path', place), size: sizeOf(line, place) }];
    return { pictures, turns: [turn] };
  });
}

/** Regions of Visual Genome: one sample for each. */
export async function openVisualGenome(config: DataSetOf<'visual-genome'>): Promise<Drafts> {
  const records = openJson(config.regions).elements();
  const details = config.imageData === undefined ? undefined : readImageData(config.imageData);
  const regionsOf = (i: number): readonly unknown[] => listField(records.object(i), 'regions', records.place(i));
  const parts = countParts(records, (i) => regionsOf(i).length);
  const check = refuseContent(config.ignoreKeys);
  const templates = await loadTemplates(config.task, config.templates);
  const pictureAt = (i: number): PictureName => {
    const place = records.place(i);
    const id = idField(records.object(i), 'id', place);
    return details === undefined ? { id } : detailOf(details, id, place);
  };
  return {
    length: parts.length,
    pictures: (index) => [pictureAt(parts.at(index).record)],
    draft: (index, random) => {
      const { record, part } = parts.at(index);
      const place = records.place(record).at(`regions[${part}]`);
      check(records.object(record), records.place(record));
      const region = asObject(regionsOf(record)[part], place);
      check(region, place);
      const picture = pictureAt(record);
      const numbers = ['x', 'y', 'width', 'height'].map((name) => numberField(region, name, place));
      const box = asBox(numbers, 'size', place);
      const turn = regionTurn(config.task, textField(region, 'phrase', place), box, templates, random);
      return { key: `${record + 1}.${part + 1}`, place, pictures: [picture], turns: [turn] };
    },
  };
}

/** `image_data.json`: the folder and name of a picture are the last two parts of its address. */
function readImageData(path: string): ReadonlyMap<Id, PictureName> {
  const records: Records = openJson(path).elements();
  const pictures = new ById<PictureName>('image');
  for (let i = 0; i < records.length; i++) {
    const place = records.place(i);
    const record = records.object(i);
    const id = idField(record, 'image_id', place);
    const name = textField(record, 'url', place).split('/').slice(-2).join('/');
    pictures.add(id, { id, name, size: sizeOf(record, place) }, place);
  }
  return pictures.values;
}

function detailOf(details: ReadonlyMap<Id, PictureName>, id: Id, place: Place): PictureName {
  const picture = details.get(id);
  if (picture !== undefined) return picture;
  throw place.error(`image ${JSON.stringify(id)} is not in the image data.`, 'Use files of one version.');
}
