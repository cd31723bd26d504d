/** Opens a data set by its configuration. */

import type { DataSetConfig } from '../config/data-sets.js';
import { readTextAsync } from '../files/read.js';
import { type Drafts, dataSet } from './draft.js';
import { dataPlace, WHAT } from './place.js';
import type { DataSet } from './sample.js';
import { openCaptionLines, openFlickrCaptions, openKarpathy } from './sets/captions.js';
import { openChat } from './sets/chat.js';
import { openClevr } from './sets/clevr.js';
import { openCocoCaptions, openCocoInstances } from './sets/coco.js';
import { openGpt4Gen } from './sets/gpt4gen.js';
import { openGqa } from './sets/gqa.js';
import { openLlava } from './sets/llava.js';
import { openPointQaLocal, openPointQaTwice, openVisual7w } from './sets/pointing.js';
import { openRefcoco, openRegionLines, openVisualGenome } from './sets/regions.js';
import { openFlickrEntities, openSpotLines } from './sets/spot.js';
import { openVcr } from './sets/vcr.js';
import { openPope, openVqa, openVqaExplained, openVqaLines } from './sets/vqa.js';

/** What a data set gets from the recipe around it. */
export interface DataSetContext {
  /** Name of the set; its samples are called by it. */
  readonly name: string;
}

/**
 * Opens a set: files are indexed, records are read when they are asked for.
 * @throws CommError `data/sample` for files that are missing or are not what the kind says, `data/template`.
 */
export async function openDataSet(config: DataSetConfig, { name }: DataSetContext): Promise<DataSet> {
  const drafts = await openDrafts(config);
  const { store, picture = defaultPicture(config), excludeImages } = config;
  const excluded = excludeImages === undefined ? undefined : await readExcluded(excludeImages);
  return dataSet(name, drafts, { store, picture, excluded });
}

/** Form of the picture keys where the recipe says nothing: the name in the record, or the number that is all it has. */
function defaultPicture(config: DataSetConfig): string {
  switch (config.kind) {
    case 'visual-genome':
      return config.imageData === undefined ? '{id}.jpg' : '{name}';
    case 'flickr-entities':
    case 'spot-lines':
    case 'gqa':
      return '{id}.jpg';
    default:
      return '{name}';
  }
}

function openDrafts(config: DataSetConfig): Promise<Drafts> {
  switch (config.kind) {
    case 'refcoco':
      return openRefcoco(config);
    case 'region-lines':
      return openRegionLines(config);
    case 'visual-genome':
      return openVisualGenome(config);
    case 'coco-instances':
      return openCocoInstances(config);
    case 'coco-captions':
      return openCocoCaptions(config);
    case 'karpathy':
      return openKarpathy(config);
    case 'flickr-captions':
      return openFlickrCaptions(config);
    case 'caption-lines':
      return openCaptionLines(config);
    case 'flickr-entities':
      return openFlickrEntities(config);
    case 'spot-lines':
      return openSpotLines(config);
    case 'vqa':
      return openVqa(config);
    case 'vqa-lines':
      return openVqaLines(config);
    case 'vqa-e':
    case 'vqa-x':
      return openVqaExplained(config);
    case 'pope':
      return openPope(config);
    case 'gqa':
      return openGqa(config);
    case 'clevr':
      return openClevr(config);
    case 'vcr':
      return openVcr(config);
    case 'pointqa-local':
      return openPointQaLocal(config);
    case 'pointqa-twice':
      return openPointQaTwice(config);
    case 'visual7w':
      return openVisual7w(config);
    case 'llava':
      return openLlava(config);
    case 'gpt4gen':
      return openGpt4Gen(config);
    case 'chat':
      return openChat(config);
  }
}

/** Names or ids of pictures, one a line or as a JSON array. */
async function readExcluded(file: string): Promise<ReadonlySet<string>> {
  const text = await readTextAsync(file, { what: WHAT });
  if (!text.trimStart().startsWith('['))
    return new Set(
      text
        .split(/\r?\n/)
        .map((line) => line.trim())
        .filter(Boolean),
    );
  let names: unknown;
  try {
    names = JSON.parse(text);
  } catch (cause) {
    throw dataPlace(file).error(`not valid JSON: ${(cause as Error).message}`, 'Write names or ids as a JSON array.');
  }
  return new Set((names as unknown[]).map(String));
}
