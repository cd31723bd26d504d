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
  ...['weight', 'sample_weight', 'loss', 'loss_mask', 'train', 'ignore'],
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

/** Values that say no more than an absent key does. */
function saysNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Values of switches that are the rule anyway: everything is learned, once. */
const isRule = (key: string, value: unknown): boolean =>
  (value === 1 || value === true) && ['weight', 'sample_weight', 'loss', 'train'].includes(key);

/** Whether a key may stay unread. `false` says nothing of most keys, but `train: false` says all. */
function isHarmless(key: string, value: unknown): boolean {
  if ((key === 'loss' || key === 'train') && value === false) return false;
  return saysNothing(value) || isRule(key, value) || (key === 'ignore' && value === 0);
}

/** Looks at the keys of a record. @throws CommError `data/sample` for one that carries content and is not read. */
export type KeyCheck = (record: JsonObject, place: Place) => void;

/** For published formats, which have more keys than anyone reads: those that are known to carry content are refused. */
export function refuseContent(ignored: readonly string[] = []): KeyCheck {
  return (record, place) => {
    for (const [key, value] of Object.entries(record)) {
      if (!CONTENT.has(key) || ignored.includes(key) || isHarmless(key, value)) continue;
      throw unread(key, value, place);
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
      if (isLabel(key) && !said.includes(key)) continue;
      throw unread(key, value, place, read);
    }
  };
}

function unread(key: string, value: unknown, place: Place, read: readonly string[] = []) {
  const near = nearestName(key, read);
  const shown = JSON.stringify(value).slice(0, 40);
  return place.error(
    `the key "${key}" (${shown}) is not read, and what it says would be lost.`,
    `${near === undefined ? 'Remove it' : `Call it "${near}" if that is meant, or remove it`}; a key that may be left aside is listed in ignoreKeys of the data set.`,
  );
}
