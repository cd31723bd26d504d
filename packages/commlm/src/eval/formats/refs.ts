/** Region references of the RefCOCO family: the `refs(...).p` pickle of the refer tool, or the same as JSON. */
import { Parser } from 'pickleparser';
import {
  asList,
  asObject,
  ById,
  type Id,
  idField,
  listField,
  Place,
  readBytes,
  readJson,
  stringField,
} from './files.js';

/** First bytes of a pickled list: protocol 2 and above, protocol 0, protocol 1. JSON starts with none of them. */
const PICKLE_STARTS: ReadonlySet<number | undefined> = new Set([0x80, 0x28, 0x5d]);

async function readRoot(path: string): Promise<unknown> {
  const bytes = await readBytes(path);
  if (!PICKLE_STARTS.has(bytes[0])) return readJson(path);
  try {
    return new Parser({ nameResolver: { resolve: refuseClass } }).parse(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown fault';
    throw new Place(path).error(
      `the pickle cannot be read: ${reason}`,
      'Use the refs file as published, or write it as JSON.',
    );
  }
}

/** A refs file holds plain lists, dictionaries, numbers and texts; anything else in a pickle is not read. */
function refuseClass(module: string, name: string): never {
  throw new Error(`it holds an object of the class ${module}.${name}.`);
}

/** Letters outside ASCII are dropped, as the refer tool does before it tokenises. */
function dropNonAscii(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole ASCII range is meant
  return text.replace(/[^\u0000-\u007f]/g, '');
}

/** Reads the sentences of every region (`ref_id`), optionally of one split, in the order of the file. */
export async function readRegionReferences(
  path: string,
  options: { readonly split?: string } = {},
): Promise<ReadonlyMap<Id, readonly string[]>> {
  const place = new Place(path);
  const entries = asList(await readRoot(path), place);
  const regions = new ById<readonly string[]>('region');
  const splits = new Set<string>();
  entries.forEach((value, i) => {
    const at = place.at(`entry ${i + 1}`);
    const entry = asObject(value, at);
    if (options.split !== undefined) {
      const split = stringField(entry, 'split', at);
      splits.add(split);
      if (split !== options.split) return;
    }
    const sentences = listField(entry, 'sentences', at).map((sentence, k) => {
      const sentenceAt = at.at(`sentences[${k}]`);
      return dropNonAscii(stringField(asObject(sentence, sentenceAt), 'sent', sentenceAt));
    });
    if (sentences.length === 0) throw at.error('the region has no sentences.');
    regions.add(idField(entry, 'ref_id', at), sentences, at);
  });
  if (regions.values.size === 0) {
    throw place.error(
      options.split === undefined ? 'the file holds no regions.' : `no region is in the split "${options.split}".`,
      options.split === undefined ? undefined : `Its splits are ${[...splits].join(', ') || 'none'}.`,
      options.split === undefined ? undefined : 'score/no-split',
    );
  }
  return regions.values;
}
