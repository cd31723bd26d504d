/** Captions: Karpathy's splits, Flickr30k's token file, Shikra's lines. COCO's own files are in coco.ts. */
import type { DataSetOf } from '../../config/data-sets.js';
import { type Draft, type Drafts, eachRecord, textField } from '../draft.js';
import { openJson, openJsonLines, openLines } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { asObject, dataPlace, listField, stringField } from '../place.js';
import type { Templates } from '../templates.js';
import { loadTemplates } from '../templates.js';
import type { Random } from '../world/random.js';
import { countParts } from './parts.js';
import { requireSamples } from './splits.js';

function captioned(
  name: string,
  caption: string,
  templates: Templates,
  random: Random,
): Pick<Draft, 'pictures' | 'turns'> {
  return { pictures: [{ name }], turns: [{ question: templates.draw(random), answer: caption, marks: [] }] };
}

/** One sample for each sentence of a picture. COCO's pictures are called by folder and name. */
export async function openKarpathy(config: DataSetOf<'karpathy'>): Promise<Drafts> {
  const images = openJson(config.file).list('images');
  const found = new Set<string>();
  const sentences = (i: number): readonly unknown[] => listField(images.object(i), 'sentences', images.place(i));
  const parts = countParts(images, (i) => {
    if (config.splits === undefined) return sentences(i).length;
    const split = stringField(images.object(i), 'split', images.place(i));
    found.add(split);
    return config.splits.includes(split) ? sentences(i).length : 0;
  });
  requireSamples(parts.length, config.file, config.splits, found);
  const nameOf = (i: number): string => {
    const image = images.object(i);
    const name = textField(image, 'filename', images.place(i));
    return image['filepath'] === undefined ? name : `${textField(image, 'filepath', images.place(i))}/${name}`;
  };
  const check = refuseContent(config.ignoreKeys);
  const templates = await loadTemplates('caption', config.templates);
  return {
    length: parts.length,
    pictures: (index) => [{ name: nameOf(parts.at(index).record) }],
    draft: (index, random) => {
      const { record, part } = parts.at(index);
      const place = images.place(record).at(`sentences[${part}]`);
      check(images.object(record), images.place(record));
      const sentence = asObject(sentences(record)[part], place);
      check(sentence, place);
      const caption = textField(sentence, 'raw', place);
      const key = `${record + 1}.${part + 1}`;
      return { key, place, ...captioned(nameOf(record), caption, templates, random) };
    },
  };
}

const TOKEN_LINE = /^(.+)#\d+\t(.*\S.*)$/;

/** Flickr30k's `name.jpg#0<TAB>caption`. */
export async function openFlickrCaptions(config: DataSetOf<'flickr-captions'>): Promise<Drafts> {
  const lines = openLines(config.file);
  const templates = await loadTemplates('caption', config.templates);
  return {
    length: lines.length,
    draft: (index, random) => {
      const place = dataPlace(config.file, `line ${index + 1}`);
      const match = TOKEN_LINE.exec(lines.text(index));
      if (match === null) {
        throw place.error('the line is not "name#number<TAB>caption".', 'Use the token file as it is published.');
      }
      return { key: String(index + 1), place, ...captioned(match[1]!, match[2]!.trim(), templates, random) };
    },
  };
}

/** Shikra's caption lines. */
export async function openCaptionLines(config: DataSetOf<'caption-lines'>): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const templates = await loadTemplates('caption', config.templates);
  return eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
    const caption = textField(line, 'caption', place);
    return captioned(textField(line, 'img_path', place), caption, templates, random);
  });
}
