/** CLEVR: questions with the program that answers them, and scenes with the centre of every object. */
import type { DataSetOf } from '../../config/data-sets.js';
import type { PixelPoint } from '../../images/frames.js';
import { asPoint, pointsMark } from '../boxes.js';
import { type Drafts, eachRecord, objectAt, textField } from '../draft.js';
import { indexById, openJson, type Records } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { asList, asObject, type Id, idField, type JsonObject, listField, type Place } from '../place.js';
import type { Mark } from '../sample.js';
import { loadTemplates } from '../templates.js';

const TASKS = { a: 'vqa', s: 'vqa-cot', bs: 'vqa-pcot' } as const;

/** One sample for each question: `a` the answer, `s` the program first, `bs` the program with the objects it finds. */
export async function openClevr(config: DataSetOf<'clevr'>): Promise<Drafts> {
  const questions = openJson(config.questions).list('questions');
  const scenes = config.scenes === undefined ? undefined : new Scenes(openJson(config.scenes).list('scenes'));
  const templates = await loadTemplates(TASKS[config.answer], config.templates);
  return eachRecord(questions, refuseContent(config.ignoreKeys), (record, place, random) => {
    const answer = textField(record, 'answer', place);
    const question = templates.draw(random, { '<question>': textField(record, 'question', place) });
    const pictures = [{ name: textField(record, 'image_filename', place) }];
    const { text, marks } = reason(config.answer, record, scenes, place);
    const turn = {
      question,
      answer: text === '' ? `The answer is ${answer}.` : `${text} So the answer is ${answer}.`,
      marks,
    };
    return { pictures, turns: [turn] };
  });
}

function reason(
  version: 'a' | 's' | 'bs',
  record: JsonObject,
  scenes: Scenes | undefined,
  place: Place,
): { text: string; marks: readonly Mark[] } {
  if (version === 'a') return { text: '', marks: [] };
  const steps = readProgram(record, place);
  if (version === 's') return { text: steps.map(spell).join(' -> '), marks: [] };
  if (scenes === undefined) throw place.error('points need the scenes.', 'Give their file as "scenes".');
  const scene = scenes.find(idField(record, 'image_index', place), place);
  const found = runProgram(steps, scene, place);
  const marks: Mark[] = [];
  const text = steps.map((step, i) => {
    const objects = found[i];
    if (objects === undefined || objects.length === 0) return spell(step);
    marks.push(pointsMark(...objects.map((object) => scene.centre(object))));
    return `${spell(step)} <points>`;
  });
  return { text: text.join(' -> '), marks };
}

/** A step of a program: what it does, with which value, to the results of which steps. */
interface Step {
  readonly name: string;
  readonly values: readonly string[];
  readonly inputs: readonly number[];
}

function readProgram(record: JsonObject, place: Place): Step[] {
  const program = listField(record, 'program', place);
  return program.map((value, i) => {
    const at = place.at(`program[${i}]`);
    const step = asObject(value, at);
    // The generator calls it `type`, the published files `function`.
    const name = textField(step, step['function'] === undefined ? 'type' : 'function', at);
    const values = asList(step['value_inputs'] ?? [], at.at('value_inputs')).map(String);
    const inputs = listField(step, 'inputs', at).map((input) => {
      if (typeof input === 'number' && Number.isInteger(input) && input >= 0 && input < i) return input;
      throw at.error(`the input ${JSON.stringify(input)} is no step before this one.`, 'Use the program as published.');
    });
    return { name, values, inputs };
  });
}

/** `filter_color:red[1]`. */
function spell({ name, values, inputs }: Step): string {
  return `${name}${values.length > 0 ? `:${values.join(',')}` : ''}[${inputs.join(',')}]`;
}

/** The objects that each step finds; undefined for a step that gives a number, a word, or yes or no. */
function runProgram(steps: readonly Step[], scene: Scene, place: Place): (readonly number[] | undefined)[] {
  const results: (readonly number[] | undefined)[] = [];
  for (const { name, values, inputs } of steps) {
    const [first = [], second = []] = inputs.map((input) => results[input]);
    results.push(objectsOf(name, values[0] ?? '', first, second, scene, place));
  }
  return results;
}

function objectsOf(
  name: string,
  value: string,
  first: readonly number[],
  second: readonly number[],
  scene: Scene,
  place: Place,
): readonly number[] | undefined {
  if (name === 'scene') return scene.all();
  if (name === 'unique') return first;
  if (name === 'relate') return first.length === 0 ? [] : scene.related(value, first[0]!, place);
  if (name === 'union') return [...new Set([...first, ...second])].sort((a, b) => a - b);
  if (name === 'intersect') return first.filter((object) => second.includes(object));
  const [verb, property] = name.split('_') as [string, string | undefined];
  if (verb === 'filter' && property) return first.filter((object) => scene.property(object, property) === value);
  if (verb === 'same' && property) {
    const one = first[0];
    if (one === undefined) return [];
    return scene.all().filter((i) => i !== one && scene.property(i, property) === scene.property(one, property));
  }
  return undefined;
}

/** Scenes by `image_index`. */
class Scenes {
  readonly #records: Records;
  readonly #byIndex: ReadonlyMap<Id, number>;

  constructor(records: Records) {
    this.#records = records;
    this.#byIndex = indexById(records, 'image_index', 'scene');
  }

  find(imageIndex: Id, from: Place): Scene {
    const index = this.#byIndex.get(imageIndex);
    if (index === undefined) throw from.error(`there is no scene ${imageIndex}.`, 'Use files of one split.');
    return new Scene(this.#records.object(index), this.#records.place(index));
  }
}

/** Objects of one scene by number. */
class Scene {
  readonly #scene: JsonObject;
  readonly #place: Place;
  readonly #objects: readonly unknown[];

  constructor(scene: JsonObject, place: Place) {
    this.#scene = scene;
    this.#place = place;
    this.#objects = listField(scene, 'objects', place);
  }

  all(): number[] {
    return this.#objects.map((_, i) => i);
  }

  property(object: number, name: string): unknown {
    return objectAt(this.#objects, object, this.#place.at('objects'))[name];
  }

  centre(object: number): PixelPoint {
    const at = this.#place.at(`objects[${object}].pixel_coords`);
    // The third number is the depth.
    return asPoint(asList(this.property(object, 'pixel_coords'), at).slice(0, 2), at);
  }

  /** What stands `side` of an object, as the scene says. */
  related(side: string, object: number, from: Place): readonly number[] {
    const relations = asObject(this.#scene['relationships'], this.#place.at('relationships'));
    const lists = relations[side];
    if (lists === undefined) throw from.error(`the scene has no relation "${side}".`, 'Use files of one version.');
    const at = this.#place.at(`relationships.${side}[${object}]`);
    return asList(asList(lists, at)[object], at).map((other) => {
      if (typeof other === 'number' && this.#objects[other] !== undefined) return other;
      throw at.error(`${JSON.stringify(other)} is no object of the scene.`, 'Use the scenes as published.');
    });
  }
}
