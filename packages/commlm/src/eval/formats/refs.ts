/** Region references of the RefCOCO family: the `refs(...).p` pickle of the refer tool, or the same as JSON. */
import { Parser } from 'pickleparser';
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

/** First bytes of a pickled list: protocol 2 and above, protocol 0, protocol 1. JSON starts with none of them. */
const PICKLE_STARTS: ReadonlySet<number | undefined> = new Set([0x80, 0x28, 0x5d]);

const PROTOCOL_0_START = 0x28;

/** Escapes that stay in the texts of protocol 0 when it is parsed. */
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/g;

function unescapeText(text: string): string {
  return text.replace(ESCAPE, (_, unit?: string, byte?: string, char?: string) =>
    char === undefined ? String.fromCharCode(Number.parseInt(unit ?? byte ?? '0', 16)) : char,
  );
}

interface RefsFile {
  readonly root: unknown;
  /** What the parser still leaves to do on each text. */
  readonly decode: (text: string) => string;
}

async function readRoot(path: string): Promise<RefsFile> {
  const bytes = await readBytes(path);
  const asIs = (text: string): string => text;
  if (!PICKLE_STARTS.has(bytes[0])) return { root: await readJson(path), decode: asIs };
  try {
    const root = new Parser({ nameResolver: { resolve: refuseClass } }).parse<unknown>(bytes);
    return { root, decode: bytes[0] === PROTOCOL_0_START ? unescapeText : asIs };
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
export async function readRefs(path: string, options: { readonly split?: string } = {}): Promise<readonly Ref[]> {
  const place = new Place(path);
  const { root, decode } = await readRoot(path);
  const entries = asList(root, place);
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
      return dropNonAscii(decode(stringField(asObject(sentence, sentenceAt), 'sent', sentenceAt)));
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

/** Reads the sentences of every region (`ref_id`), optionally of one split, in the order of the file. */
export async function readRegionReferences(
  path: string,
  options: { readonly split?: string } = {},
): Promise<ReadonlyMap<Id, readonly string[]>> {
  return new Map((await readRefs(path, options)).map(({ id, sentences }) => [id, sentences]));
}
