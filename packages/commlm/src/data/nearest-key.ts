/**
 * The key that was meant, for a picture that is not there: the same name in another Unicode form or case, with other slashes
 * or folders, or with another ending. Keys are put in order once, when the first one is missing.
 */
import type { CommError } from '../config/errors.js';
import { pictureError } from './fault.js';

/** How a key that is there differs from one that is not, and what may be done. */
export interface Nearest {
  readonly key: string;
  /** Completes "<key>, the same ...". */
  readonly how: string;
  readonly fix: string;
}

/** More keys than these are not put in order: naming one is a help, not worth gigabytes. */
const MAX_KEYS = 2_000_000;

const baseOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
const stemOf = (key: string): string => key.replace(/\.[^./]+$/, '');

/** One spelling of what file systems and web addresses spell in several ways. */
function plain(key: string): string {
  const path = key
    .replace(/^file:\/\//, '')
    .replaceAll('\\', '/')
    .replace(/\/{2,}/g, '/')
    .replace(/^(?:\.?\/)+/, '');
  return decoded(path).normalize('NFC');
}

function decoded(path: string): string {
  if (!/%[0-9A-Fa-f]{2}/.test(path)) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

const folded = (key: string): string => plain(key).toLowerCase();

/** Keys of a store by their spellings. */
export class NearestKeys {
  readonly #list: () => Iterable<string> | Promise<Iterable<string>>;
  #byWhole = new Map<string, string>();
  #byBase = new Map<string, string>();
  #byStem = new Map<string, string>();
  #first: string | undefined;
  #ready: Promise<void> | undefined;

  /** @param list all keys; asked for once, when the first picture is missing */
  constructor(list: () => Iterable<string> | Promise<Iterable<string>>) {
    this.#list = list;
  }

  /** The error for a key that is not in the store. */
  async missing(store: string, key: string): Promise<CommError> {
    const nearest = await this.find(key);
    if (nearest === undefined) {
      return pictureError(`${store}, ${key}`, 'there is no such picture.', {
        fix: `Add it, or leave it out by "excludeImages". Keys are such as ${this.#first ?? 'none'}.`,
      });
    }
    const problem = `there is no such picture, but there is ${nearest.key}, ${nearest.how}.`;
    return pictureError(`${store}, ${key}`, problem, { fix: nearest.fix });
  }

  async #read(): Promise<void> {
    let numKeys = 0;
    for (const key of await this.#list()) {
      this.#first ??= key;
      if (++numKeys > MAX_KEYS) break;
      const whole = folded(key);
      setFirst(this.#byWhole, whole, key);
      setFirst(this.#byBase, baseOf(whole), key);
      setFirst(this.#byStem, baseOf(stemOf(whole)), key);
    }
  }

  /** The key that was probably meant. */
  async find(key: string): Promise<Nearest | undefined> {
    this.#ready ??= this.#read();
    await this.#ready;
    const whole = folded(key);
    const same = this.#byWhole.get(whole);
    if (same !== undefined) return { key: same, ...spellingOf(key, same) };
    const sameBase = this.#byBase.get(baseOf(whole));
    if (sameBase !== undefined) {
      return { key: sameBase, how: 'the same name in another folder', fix: folderFix(key, sameBase) };
    }
    const sameStem = this.#byStem.get(baseOf(stemOf(whole)));
    if (sameStem === undefined) return undefined;
    return {
      key: sameStem,
      how: 'the same name with another ending',
      fix: 'Correct the names in the records, or "picture" of the data set, the form of its keys.',
    };
  }
}

function setFirst(map: Map<string, string>, spelling: string, key: string): void {
  if (!map.has(spelling)) map.set(spelling, key);
}

const RENAME = 'Rename the picture, or write its name in the records as it is in the store.';

/** How two spellings of one key differ. */
function spellingOf(key: string, there: string): { readonly how: string; readonly fix: string } {
  const fix = RENAME;
  if (key.includes('\\') && !there.includes('\\')) return { how: 'the same path with "/" for "\\"', fix };
  if (plain(key) !== plain(there)) return { how: 'the same name in other case', fix };
  if (key.normalize('NFC') === there.normalize('NFC')) {
    return { how: `the same name in another Unicode form (${formOf(there)} there, ${formOf(key)} in the record)`, fix };
  }
  if (decoded(key) !== key) return { how: 'the same name without the escapes of a web address', fix };
  return { how: 'the same path', fix };
}

const formOf = (text: string): string =>
  text === text.normalize('NFC') ? 'NFC' : text === text.normalize('NFD') ? 'NFD' : 'mixed';

/** The form of keys that would have found it, where there is one: it is the same for all pictures of a set. */
function folderFix(key: string, there: string): string {
  const folder = there.slice(0, there.length - baseOf(there).length);
  const form = there.endsWith(`/${key}`)
    ? `${there.slice(0, -key.length)}{name}`
    : baseOf(key) === baseOf(there)
      ? `${folder}{base}`
      : undefined;
  return form === undefined ? RENAME : `Set "picture" of the data set, the form of its keys, to "${form}".`;
}
