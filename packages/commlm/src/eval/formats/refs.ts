/** Region references of the RefCOCO family: the `refs(...).p` pickle of the refer tool, or the same as JSON. */
import { isPickle, readPickle } from '../../data/refs.js';
import {
  asList,
  asObject,
  ById,
  type Id,
  idField,
  type JsonObject,
  listField,
  Place,
  readBytes,
  readJson,
  stringField,
} from './files.js';

async function readRoot(path: string): Promise<unknown> {
  const bytes = await readBytes(path);
  return isPickle(bytes) ? readPickle(bytes, new Place(path)) : await readJson(path);
}

/** Letters outside ASCII are dropped, as the refer tool does before it tokenises. */
function dropNonAscii(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole ASCII range is meant
  return text.replace(/[^\u0000-\u007f]/g, '');
}

/** One region: what is said about it, and the ids that lead to its box and picture. */
export interface Ref {
  readonly id: Id;
  readonly split: string;
  readonly sentences: readonly string[];
  /** Where the entry stands in the file, for errors. */
  readonly place: Place;
  readonly entry: JsonObject;
}

/** The regions of a file in its order, optionally of one split. */
export async function readRefs(
  path: string,
  options: { readonly split?: string | undefined } = {},
): Promise<readonly Ref[]> {
  const place = new Place(path);
  const entries = asList(await readRoot(path), place);
  const regions = new ById<Ref>('region');
  const splits = new Set<string>();
  entries.forEach((value, i) => {
    const at = place.at(`entry ${i + 1}`);
    const entry = asObject(value, at);
    const split = options.split === undefined && !('split' in entry) ? '' : stringField(entry, 'split', at);
    splits.add(split);
    if (options.split !== undefined && split !== options.split) return;
    const sentences = listField(entry, 'sentences', at).map((sentence, k) => {
      const sentenceAt = at.at(`sentences[${k}]`);
      return dropNonAscii(stringField(asObject(sentence, sentenceAt), 'sent', sentenceAt));
    });
    if (sentences.length === 0) throw at.error('the region has no sentences.');
    const id = idField(entry, 'ref_id', at);
    regions.add(id, { id, split, sentences, place: at, entry }, at);
  });
  if (regions.values.size === 0) {
    throw place.error(
      options.split === undefined ? 'the file holds no regions.' : `no region is in the split "${options.split}".`,
      options.split === undefined ? undefined : `Its splits are ${[...splits].join(', ') || 'none'}.`,
      options.split === undefined ? undefined : 'score/no-split',
    );
  }
  return [...regions.values.values()];
}
