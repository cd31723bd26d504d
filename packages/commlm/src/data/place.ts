/** Values of annotation files with their places: every fault becomes one sentence that names the file and the line or entry. */
import { CommError } from '../config/errors.js';

/** A parsed JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Where a value stands: the file, and the line, entry or field inside it. */
export class Place {
  readonly file: string;
  readonly detail: string;
  /** Code of the errors about it. */
  readonly code: string;

  constructor(file: string, detail = '', code = 'score/bad-file') {
    this.file = file;
    this.detail = detail;
    this.code = code;
  }

  /** The place of a part of this one. */
  at(detail: string): Place {
    return new Place(this.file, this.detail === '' ? detail : `${this.detail}, ${detail}`, this.code);
  }

  toString(): string {
    return this.detail === '' ? this.file : `${this.file}, ${this.detail}`;
  }

  /** An error about the value at this place; `problem` completes the sentence `<place>: ...`. */
  error(problem: string, fix?: string, code = this.code): CommError {
    return new CommError(`${this}: ${problem}`, { code, fix });
  }
}

/** English name of the kind of a JSON value. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return 'a text';
  return typeof value === 'number' ? 'a number' : `a ${typeof value}`;
}

/** `value` as an object, or an error at `place`. */
export function asObject(value: unknown, place: Place): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw place.error(`an object is needed, but this is ${kindOf(value)}.`);
  }
  return value as JsonObject;
}

/** `value` as a list, or an error at `place`. */
export function asList(value: unknown, place: Place): readonly unknown[] {
  if (!Array.isArray(value)) throw place.error(`a list is needed, but this is ${kindOf(value)}.`);
  return value;
}

function fieldOf(object: JsonObject, name: string, place: Place): unknown {
  const value = object[name];
  if (value === undefined) {
    throw place.error(`the field "${name}" is missing; found ${Object.keys(object).slice(0, 8).join(', ') || 'none'}.`);
  }
  return value;
}

/** A list field. */
export function listField(object: JsonObject, name: string, place: Place): readonly unknown[] {
  const value = fieldOf(object, name, place);
  if (!Array.isArray(value)) throw place.error(`"${name}" must be a list, but is ${kindOf(value)}.`);
  return value;
}

/** A text field. */
export function stringField(object: JsonObject, name: string, place: Place): string {
  const value = fieldOf(object, name, place);
  if (typeof value !== 'string') throw place.error(`"${name}" must be a text, but is ${kindOf(value)}.`);
  return value;
}

/** A finite number field. */
export function numberField(object: JsonObject, name: string, place: Place): number {
  const value = fieldOf(object, name, place);
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw place.error(`"${name}" must be a number, but is ${kindOf(value)}.`);
  }
  return value;
}

/** An identifier: a whole number or a text that is not blank. */
export type Id = number | string;

/** A field that identifies something. */
export function idField(object: JsonObject, name: string, place: Place): Id {
  const value = fieldOf(object, name, place);
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw place.error(
    `"${name}" must be a whole number or a text, but is ${typeof value === 'number' ? value : kindOf(value)}.`,
  );
}

/** Collects values by id and refuses the second of a kind. */
export class ById<Value> {
  readonly values = new Map<Id, Value>();
  private readonly places = new Map<Id, Place>();
  private readonly noun: string;

  /** @param noun what the ids name, e.g. `image`. */
  constructor(noun: string) {
    this.noun = noun;
  }

  add(id: Id, value: Value, place: Place): void {
    const first = this.places.get(id);
    if (first !== undefined) {
      throw place.error(`${this.noun} ${JSON.stringify(id)} is there already, at ${first.detail || first.file}.`);
    }
    this.places.set(id, place);
    this.values.set(id, value);
  }

  placeOf(id: Id): Place | undefined {
    return this.places.get(id);
  }
}

/** What the files of data sets are, in sentences about them. */
export const WHAT = 'the data';

/** Place of a data file, or of a part of it; its errors have the code `data/sample`. */
export function dataPlace(file: string, detail = ''): Place {
  return new Place(file, detail, 'data/sample');
}
