/**
 * Keys of records that nobody reads. A key that names a record (`id`, `source`) may be left aside; one that carries what
 * should be learned, or says that something should not be, may not: leaving it out in silence trains on something else.
 */
import { nearestName } from '../config/json.js';
import type { JsonObject, Place } from './place.js';

/** Keys that carry content in some format: a kind of set that does not read them refuses them. */
const CONTENT: ReadonlySet<string> = new Set([
  ...['images', 'video', 'videos', 'video_path', 'audio', 'audios', 'audio_path'],
  ...['system', 'system_prompt', 'history', 'tools', 'functions', 'tool_calls', 'function_call'],
  ...['weight', 'sample_weight', 'loss_weight', 'loss', 'loss_mask', 'train', 'trainable', 'learn', 'ignore'],
  ...['chosen', 'rejected', 'rejected_response', 'rejected_messages', 'rejected_images'],
]);

/** Keys that tell of a record and not what is in it. */
const LABELS: ReadonlySet<string> = new Set([
  ...['id', 'ids', 'idx', 'index', 'key', 'uid', 'uuid', 'guid', 'hash', 'md5', 'sha256', 'name', 'title'],
  ...[
    'source',
    'sources',
    'data_source',
    'dataset',
    'dataset_name',
    'data_name',
    'subset',
    'split',
    'origin',
    'domain',
  ],
  ...['category', 'categories', 'type', 'data_type', 'task', 'task_type', 'task_name', 'topic', 'tag', 'tags', 'skill'],
  ...['question_type', 'answer_type', 'difficulty', 'level', 'lang', 'language', 'model', 'model_name', 'generator'],
  ...['author', 'annotator', 'license', 'date', 'time', 'timestamp', 'created', 'created_at', 'updated_at', 'version'],
  ...['score', 'scores', 'quality', 'rating', 'length', 'num_turns', 'num_tokens', 'token_count', 'text_only'],
  ...[
    'note',
    'notes',
    'comment',
    'comments',
    'meta',
    'metadata',
    'info',
    'extra',
    'url',
    'link',
    'coco_url',
    'flickr_url',
  ],
]);

const isLabel = (key: string): boolean => LABELS.has(key) || /(?:^_|_ids?$|Id$)/.test(key);

/** Labels that measure a record: a `loss` in them is what a model had there, and switches nothing. */
const MEASURES: ReadonlySet<string> = new Set(['score', 'scores', 'quality', 'rating']);

/** Words of a key, however it is spelled: `imageId` and `image_id` are the same two. */
const wordsOf = (key: string): string[] =>
  key
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== '');

const MEDIA = /^(?:image|img|picture|pic|photo|video|audio|frame|clip|media|speech|sound|voice)s?$/;
const NAMING = /^(?:id|path|name|file|filename|url)s?$/;
const MEDIA_FILE =
  /^data:(?:image|video|audio)\/|\.(?:png|jpe?g|gif|webp|bmp|tiff?|mp4|avi|mov|mkv|webm|wav|mp3|flac)(?:[?#].*)?$/i;

/** Whether a key names a picture, a video or a sound: `image`, `image_id`, `videoPath`. */
function namesMedia(key: string): boolean {
  const [first = '', ...rest] = wordsOf(key);
  return MEDIA.test(first) && rest.every((word) => NAMING.test(word));
}

/** Words of keys that switch something off by `false`. */
const SWITCH =
  /^(?:train|trainable|training|learn|learned|learnable|loss|weight|mask|masked|supervised|keep|use|used|include|included|enabled|active|valid)$/;

/** Values that say no more than an absent key does. */
function saysNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Values of switches that are the rule anyway: everything is learned, once. */
const isRule = (key: string, value: unknown): boolean =>
  (value === 1 || value === true) &&
  ['weight', 'sample_weight', 'loss_weight', 'loss', 'train', 'trainable', 'learn'].includes(key);

/** Whether a key may stay unread. `false` says nothing of most keys, but `train: false` says all. */
function isHarmless(key: string, value: unknown): boolean {
  if (value === false && wordsOf(key).some((word) => SWITCH.test(word))) return false;
  return saysNothing(value) || isRule(key, value) || (key === 'ignore' && value === 0);
}

/** A key somewhere in a value, with what it says. */
interface Member {
  readonly key: string;
  readonly value: unknown;
}

/** All members of a value and of what lies in it; items of lists count under the key of their list. */
function* membersWithin(root: Member): Generator<Member> {
  // No recursion: a record may be nested more deeply than calls can be.
  const left = [root];
  for (let member = left.pop(); member !== undefined; member = left.pop()) {
    const { key, value } = member;
    if (typeof value !== 'object' || value === null) continue;
    const inside = Array.isArray(value)
      ? value.map((item: unknown) => ({ key, value: item }))
      : Object.entries(value).map(([name, item]: [string, unknown]) => ({ key: name, value: item }));
    for (const item of inside) {
      left.push(item);
      yield item;
    }
  }
}

/** Refuses what carries content within a label. */
function refuseWithin(label: Member, isContent: (key: string) => boolean, place: Place): void {
  if (MEASURES.has(label.key)) return;
  for (const { key, value } of membersWithin(label)) {
    if (isContent(key) && !isHarmless(key, value)) throw unread(key, value, place.at(label.key));
  }
}

/** Looks at the keys of a record. @throws CommError `data/sample` for one that carries content and is not read. */
export type KeyCheck = (record: JsonObject, place: Place) => void;

/** Labels that published formats do not have: who adds them writes into them what they will. */
const NOTES: ReadonlySet<string> = new Set(['meta', 'metadata', 'extra', 'info']);

/** For published formats, which have more keys than anyone reads: those that are known to carry content are refused. */
export function refuseContent(ignored: readonly string[] = []): KeyCheck {
  return (record, place) => {
    for (const [key, value] of Object.entries(record)) {
      if (ignored.includes(key) || isHarmless(key, value)) continue;
      if (CONTENT.has(key)) throw unread(key, value, place);
      if (NOTES.has(key)) refuseWithin({ key, value }, (name) => CONTENT.has(name) && !ignored.includes(name), place);
    }
  };
}

/** For people's own files: every key is read, or a label, or named in `ignoreKeys` of the set; `said` are labels that are none here. */
export function refuseUnknown(
  read: readonly string[],
  ignored: readonly string[] = [],
  said: readonly string[] = [],
): KeyCheck {
  return (record, place) => {
    for (const [key, value] of Object.entries(record)) {
      if (read.includes(key) || ignored.includes(key) || isHarmless(key, value)) continue;
      if (!isLabel(key) || said.includes(key)) throw unread(key, value, place, read);
      const isLost = (name: string): boolean => CONTENT.has(name) && !namesPictures(name) && !ignored.includes(name);
      refuseWithin({ key, value }, isLost, place);
    }
    // What is said in a message shows its pictures in its text, and nothing beside it.
    if (said.length > 0) refuseUnshown(omit(record, read), [], place, ignored);
  };
}

const omit = (record: JsonObject, keys: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));

const namesPictures = (key: string): boolean => key === 'image' || key === 'images';
const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/**
 * Refuses labels that name a picture, a video or a sound where the record shows none, and pictures within labels that are
 * others than the `shown`. Beside a picture such a label (`image_id`, `coco_url`) only tells where it is from.
 */
export function refuseUnshown(
  record: JsonObject,
  shown: readonly string[],
  place: Place,
  ignored: readonly string[] = [],
): void {
  const bases = new Set(shown.map(baseOf));
  const isShown = (value: unknown): boolean => typeof value !== 'string' || bases.has(baseOf(value));
  for (const [label, content] of Object.entries(record)) {
    if (!isLabel(label) || ignored.includes(label)) continue;
    const root = { key: label, value: content };
    for (const member of [root, ...membersWithin(root)]) {
      const { key, value } = member;
      if (saysNothing(value) || ignored.includes(key)) continue;
      const isFile = typeof value === 'string' && MEDIA_FILE.test(value);
      const isLost =
        shown.length === 0 ? namesMedia(key) || isFile : member !== root && namesPictures(key) && !isShown(value);
      if (isLost) throw unread(key, value, member === root ? place : place.at(label));
    }
  }
}

function unread(key: string, value: unknown, place: Place, read: readonly string[] = []) {
  const near = nearestName(key, read);
  const shown = JSON.stringify(value).slice(0, 40);
  return place.error(
    `the key "${key}" (${shown}) is not read, and what it says would be lost.`,
    `${near === undefined ? 'Remove it' : `Call it "${near}" if that is meant, or remove it`}; a key that may be left aside is listed in ignoreKeys of the data set.`,
  );
}
