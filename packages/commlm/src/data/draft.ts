/**
 * From a record of a file to a sample: every reader makes a draft of one record, and what all of them have in common is
 * done here: ids, keys of pictures, the choice by draw, and the check of placeholders and boxes.
 */
import { EMPTY_BOX, fitMark } from './boxes.js';
import type { Records } from './json-records.js';
import type { KeyCheck } from './keys.js';
import { asObject, type Id, type JsonObject, type Place } from './place.js';
import type { DataSet, Sample, SampleTurn, Size } from './sample.js';
import { Random } from './world/random.js';

/** What a record says about its picture: a name, an id, or both, and its size where coordinates lie on it. */
export interface PictureName {
  readonly name?: string;
  readonly id?: Id;
  readonly size?: Size | undefined;
}

/** A sample before its picture keys are made. */
export interface Draft {
  /** Which record of the file, counted from 1, with a part behind a point where a record gives several samples. */
  readonly key: string;
  readonly place: Place;
  readonly pictures: readonly PictureName[];
  readonly system?: string | undefined;
  readonly turns: readonly SampleTurn[];
}

/** A data set before pictures are named and left out. */
export interface Drafts {
  readonly length: number;
  /** Records that give no sample, by what they are. */
  readonly leftOut?: Readonly<Record<string, number>>;
  draft(index: number, random: Random): Draft;
  /** The pictures of a sample, for those formats that know them without making the draft. */
  readonly pictures?: (index: number) => readonly PictureName[];
}

/** One sample for each record of a file, by its number; `check` looks at the keys first. */
export function eachRecord(
  records: Records,
  check: KeyCheck,
  draft: (record: JsonObject, place: Place, random: Random) => Pick<Draft, 'pictures' | 'system' | 'turns'>,
): Drafts {
  return {
    length: records.length,
    draft: (index, random) => {
      const place = records.place(index);
      const record = records.object(index);
      check(record, place);
      return { key: String(index + 1), place, ...draft(record, place, random) };
    },
  };
}

/** How keys of pictures are made, and which pictures are left out. */
export interface PictureRules {
  readonly store: string;
  /** Form of a key: `{name}` as the file says, `{base}` without folders, `{id}`, `{id:12}` with zeros in front. */
  readonly picture: string;
  /** Names or ids of pictures that no sample may show. */
  readonly excluded?: ReadonlySet<string> | undefined;
}

/** A data set of drafts. Samples of excluded pictures are left out; faulty records stay, to be told of when they are read. */
export function dataSet(name: string, drafts: Drafts, rules: PictureRules): DataSet {
  const kept = rules.excluded === undefined ? undefined : keptIndices(drafts, rules.excluded);
  const numExcluded = kept === undefined ? 0 : drafts.length - kept.length;
  return {
    name,
    length: kept?.length ?? drafts.length,
    leftOut: { ...drafts.leftOut, ...(numExcluded === 0 ? {} : { 'excluded sample': numExcluded }) },
    sample: (index, draw) => {
      const record = kept === undefined ? index : kept[index];
      if (record === undefined || !(record >= 0 && record < drafts.length)) {
        throw new RangeError(`the data set ${name} has no sample ${index}`);
      }
      return finish(drafts.draft(record, new Random(draw, `${name}/${record}`)), name, rules);
    },
  };
}

function keptIndices(drafts: Drafts, excluded: ReadonlySet<string>): Uint32Array {
  const kept = new Uint32Array(drafts.length);
  let n = 0;
  for (let i = 0; i < drafts.length; i++) if (!isExcluded(drafts, i, excluded)) kept[n++] = i;
  return kept.slice(0, n);
}

function isExcluded(drafts: Drafts, index: number, excluded: ReadonlySet<string>): boolean {
  let pictures: readonly PictureName[];
  try {
    pictures = drafts.pictures?.(index) ?? drafts.draft(index, new Random(0, '')).pictures;
  } catch {
    // Which picture a faulty record shows is not known; whoever reads it is told of the fault.
    return false;
  }
  return pictures.some((picture) => spellings(picture).some((spelling) => excluded.has(spelling)));
}

/** What a list of excluded pictures may call one: whole name, without folders, without ending, id, COCO's number. */
function spellings({ name, id }: PictureName): string[] {
  const base = name?.split('/').pop();
  const stem = base?.replace(/\.[^.]+$/, '');
  const number = stem === undefined ? undefined : /(?:^|_)0*(\d+)$/.exec(stem)?.[1];
  return [name, base, stem, number, id === undefined ? undefined : String(id)].filter((text) => text !== undefined);
}

function finish(draft: Draft, set: string, { store, picture }: PictureRules): Sample {
  const { place, turns, system } = draft;
  const [inSystem] = system?.match(SHOWN) ?? [];
  if (inSystem !== undefined) {
    throw place.error(
      `the system text holds ${inSystem}, where nothing can be shown.`,
      'Write it into the question; the system text is read as it stands.',
    );
  }
  const numShown = turns.reduce((sum, turn) => sum + count(turn.question, IMAGE) + count(turn.answer, IMAGE), 0);
  if (numShown !== draft.pictures.length) {
    throw place.error(
      `${numShown} <image> in the text, but ${draft.pictures.length} pictures.`,
      'Give one picture for each <image>.',
      'data/image-count',
    );
  }
  for (const turn of turns) checkMarks(turn, draft.pictures.length, place);
  const pictures = draft.pictures.map(({ size, ...named }) => ({
    store,
    key: pictureKey(picture, named, place),
    ...(size === undefined ? {} : { size }),
  }));
  const fitted = turns.map((turn) => ({
    ...turn,
    marks: turn.marks.map((mark) =>
      fitMark(mark, pictures[mark.picture]?.size, (problem, fix) => place.error(problem, fix, EMPTY_BOX)),
    ),
  }));
  const identity = { id: `${set}/${draft.key}`, where: String(place) };
  return { ...identity, pictures, ...(system === undefined ? {} : { system }), turns: fitted };
}

const IMAGE = /<image>/g;
/** Places of pictures and coordinates, of which a system text has none. */
const SHOWN = /<image>|<boxes>|<points>/;
const PLACEHOLDER = /<boxes>|<points>/g;

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

function checkMarks({ question, answer, marks }: SampleTurn, numPictures: number, place: Place): void {
  const found = [...question.matchAll(PLACEHOLDER), ...answer.matchAll(PLACEHOLDER)].map(([text]) => text);
  if (found.length !== marks.length || found.some((text, i) => text !== `<${marks[i]!.kind}>`)) {
    throw place.error(
      `the text has the placeholders ${found.join(' ') || 'none'}, but the coordinates are ${marks.map(({ kind }) => kind).join(' ') || 'none'}.`,
      'Give coordinates for each <boxes> and <points>, and write neither of them in plain text.',
    );
  }
  const lost = marks.find((mark) => mark.picture >= numPictures);
  if (lost !== undefined) throw place.error(`coordinates lie on picture ${lost.picture + 1} of ${numPictures}.`);
}

/** The key of a picture by its form. */
export function pictureKey(form: string, { name, id }: PictureName, place: Place): string {
  return form.replace(/\{(name|base|id)(?::(\d+))?\}/g, (_, field: string, width?: string) => {
    const value = field === 'id' ? id : field === 'base' ? name?.split('/').pop() : name;
    if (value === undefined) {
      throw place.error(
        `the form of the picture keys, "${form}", needs ${field === 'id' ? 'an id' : 'a name'}, which the record does not have.`,
        `Use {${field === 'id' ? 'name' : 'id'}} in "picture".`,
      );
    }
    return String(value).padStart(Number(width ?? 0), '0');
  });
}

/** An object in a list field. */
export function objectAt(list: readonly unknown[], index: number, place: Place): JsonObject {
  return asObject(list[index], place.at(`[${index}]`));
}

/** A text that is not blank. */
export function textField(object: JsonObject, name: string, place: Place): string {
  const value = object[name];
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || text.trim() === '') {
    throw place.error(
      value === undefined
        ? `the field "${name}" is missing; found ${Object.keys(object).slice(0, 8).join(', ') || 'none'}.`
        : `"${name}" must be a text that is not blank.`,
      'Correct the record.',
    );
  }
  return text.trim();
}
