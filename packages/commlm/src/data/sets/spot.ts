/** Sentences in which the things are located (spot captioning): Flickr30k Entities, and Shikra's lines. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DataSetOf } from '../../config/data-sets.js';
import { readText } from '../../files/read.js';
import type { PixelBox } from '../../images/frames.js';
import { asBox, asSize, boxesField, boxesMark, boxGroups, sizeOf } from '../boxes.js';
import { type Drafts, eachRecord, textField } from '../draft.js';
import { reasonOf } from '../fault.js';
import { openJsonLines } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { dataPlace, type Id, idField, listField, type Place, WHAT } from '../place.js';
import type { Mark, Size } from '../sample.js';
import { loadTemplates } from '../templates.js';

const PHRASE_START = /<ph_st>\s*/g;
const PHRASE_END = /\s*<ph_ed>/g;

/** Shikra's marks around phrases become a placeholder behind each. */
export const boxesForPhrases = (text: string): string => text.replace(PHRASE_START, '').replace(PHRASE_END, ' <boxes>');

/** Shikra's marks are taken away. */
export const withoutPhrases = (text: string): string =>
  text
    .replace(PHRASE_START, '')
    .replace(PHRASE_END, '')
    .replace(/\s*<boxes>/g, '');

/** Shikra's lines; pictures are called by an id. */
export async function openSpotLines(config: DataSetOf<'spot-lines'>): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const templates = await loadTemplates('spot', config.templates);
  return eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
    const boxes = boxesField(line, 'boxes', place);
    const marks = boxGroups(listField(line, 'boxes_seq', place), boxes, place.at('boxes_seq'));
    const answer = boxesForPhrases(textField(line, 'sentence', place));
    const turns = [{ question: templates.draw(random), answer, marks }];
    return { pictures: [{ id: idField(line, 'image_id', place), size: sizeOf(line, place) }], turns };
  });
}

/** A sentence of a file: which picture, which line. */
interface SentencePlace {
  readonly id: string;
  readonly line: number;
}

/** Flickr30k Entities: one sample for each sentence. */
export async function openFlickrEntities(config: DataSetOf<'flickr-entities'>): Promise<Drafts> {
  const folder = join(config.folder, 'Sentences');
  const ids =
    config.ids === undefined ? idsIn(folder) : readText(config.ids, { what: WHAT }).split(/\r?\n/).filter(Boolean);
  const sentences = ids.flatMap((id) =>
    linesOf(join(folder, `${id}.txt`)).map((_, line): SentencePlace => ({ id, line })),
  );
  if (sentences.length === 0) throw dataPlace(folder).error('there are no sentences.', 'Check the folder.');
  const templates = await loadTemplates('spot', config.templates);
  return {
    length: sentences.length,
    pictures: (index) => [{ id: sentences[index]!.id }],
    draft: (index, random) => {
      const { id, line } = sentences[index]!;
      const file = join(folder, `${id}.txt`);
      const place = dataPlace(file, `line ${line + 1}`);
      const { boxes, size } = readEntityBoxes(join(config.folder, 'Annotations', `${id}.xml`));
      const { text, marks } = locate(linesOf(file)[line]!, boxes, place);
      const turns = [{ question: templates.draw(random), answer: text, marks }];
      return {
        key: `${id}.${line + 1}`,
        place,
        pictures: [{ id, size: marks.length === 0 ? undefined : size }],
        turns,
      };
    },
  };
}

function idsIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
    return names.map((name) => name.slice(0, -'.txt'.length)).sort();
  } catch (cause) {
    throw dataPlace(folder).error(reasonOf(cause), 'Correct the path, or put the folder there.');
  }
}

function linesOf(file: string): string[] {
  return readText(file, { what: WHAT })
    .trimEnd()
    .split(/\r?\n/)
    .filter((line) => line !== '');
}

const ENTITY = /\[\/EN#(\d+)((?:\/[^\s\]/]+)+)\s+([^\]]+)\]/g;

/** `[/EN#12/people Two boys]` becomes `Two boys <boxes>`, or `Two boys` where the chain 12 has no box. */
function locate(
  line: string,
  boxes: ReadonlyMap<Id, readonly PixelBox[]>,
  place: Place,
): { text: string; marks: Mark[] } {
  const marks: Mark[] = [];
  const text = line.replace(ENTITY, (_, id: string, _types: string, phrase: string) => {
    const found = boxes.get(id);
    if (found === undefined) return phrase;
    marks.push(boxesMark(...found));
    return `${phrase} <boxes>`;
  });
  if (text.includes('[/EN#')) {
    throw place.error('a phrase is not "[/EN#number/type words]".', 'Use the sentences as they are published.');
  }
  return { text: text.trim(), marks };
}

const OBJECT = /<object>([\s\S]*?)<\/object>/g;

/** Boxes of every chain, and the size of the picture; a box may belong to several, and a chain may have several or none. */
function readEntityBoxes(file: string): {
  readonly boxes: ReadonlyMap<string, readonly PixelBox[]>;
  readonly size: Size | undefined;
} {
  const xml = readText(file, { what: WHAT });
  const place = dataPlace(file);
  if (!xml.includes('</annotation>')) throw place.error('the annotation ends early.', 'Download it again.');
  const [width, height] = ['width', 'height'].map((name) => numberIn(xml, name));
  const size = width === undefined && height === undefined ? undefined : asSize(width, height, place);
  const boxes = new Map<string, PixelBox[]>();
  for (const [i, [, object]] of [...xml.matchAll(OBJECT)].entries()) {
    if (!object!.includes('<bndbox>')) continue;
    const at = place.at(`object ${i + 1}`);
    const box = asBox(
      ['xmin', 'ymin', 'xmax', 'ymax'].map((name) => numberIn(object!, name)),
      'corners',
      at,
    );
    const chains = [...object!.matchAll(/<name>\s*([^<\s]+)\s*<\/name>/g)].map(([, name]) => name!);
    if (chains.length === 0) throw at.error('the box has no name.', 'Use the annotations as they are published.');
    for (const chain of chains) boxes.set(chain, [...(boxes.get(chain) ?? []), box]);
  }
  return { boxes, size };
}

function numberIn(xml: string, tag: string): number | undefined {
  const match = new RegExp(`<${tag}>\\s*(-?[\\d.]+)\\s*</${tag}>`).exec(xml);
  return match === null ? undefined : Number(match[1]);
}
