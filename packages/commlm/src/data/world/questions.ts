/** Questions and answers about a scene, true by construction, in the frames of the COMM and Shikra papers. */

import { TurnType } from '../../config/world.js';
import {
  distinguishingPhrase,
  expressionsFor,
  type Horizontal,
  horizontalPlace,
  isRelated,
  joinWords,
  mainCaption,
  nameOf,
  oppositeOf,
  phraseFor,
  placeName,
  pluralOf,
  RELATIONS,
  type ReferringExpression,
  type Relation,
  readingOrder,
  relatedTo,
  relationWords,
  sideWords,
  uniqueName,
  type Vertical,
  verticalPlace,
  withArticle,
} from './language.js';
import type { SceneObject } from './placement.js';
import { Random } from './random.js';
import type { Scene } from './scene.js';
import { fillTemplate, TEMPLATES, type TemplateName } from './templates.js';
import {
  CATEGORY_WORDS,
  type Category,
  COLOR_NAMES,
  type ColorName,
  ICON_NOUNS,
  NOUNS,
  SHAPE_NOUNS,
} from './vocabulary.js';

export const TURN_TYPES = TurnType.options;
export type { TurnType };

/** One question with its answer. */
export interface Turn {
  readonly type: TurnType;
  /** Question; `<boxes>` stands for one bracket of coordinates. */
  readonly question: string;
  /** Answer; `<boxes>` as in the question. */
  readonly answer: string;
  /** Boxes in pixels of the scene, in the order of the placeholders of question and answer. */
  readonly boxes?: number[][];
  /** The words that name the thing pointed at (rec, reg, name-at). */
  readonly phrase?: string;
  /** The answer without its frame, as a VQA scorer compares it. */
  readonly short?: string;
  /** Indices into `scene.objects` that the turn is about. */
  readonly objects?: number[];
}

export interface TurnOptions {
  /** Most turns, default 6. */
  readonly max?: number;
  /** Types to draw from, default all. */
  readonly types?: readonly TurnType[];
  /** Relative frequency of a type; the defaults favour existence, pointing and naming. */
  readonly weights?: Partial<Record<TurnType, number>>;
}

const DEFAULT_WEIGHTS: Readonly<Record<TurnType, number>> = {
  existence: 3,
  object: 2,
  color: 1.2,
  count: 1.2,
  position: 1.2,
  relation: 1.2,
  rec: 4,
  reg: 1,
  'name-at': 2,
  caption: 1,
  spot: 2,
  // Benchmarks ask like this, people seldom do.
  exact: 0.4,
  choice: 0.4,
};

type Maker = (scene: Scene, rng: Random, before: readonly Turn[]) => Turn | undefined;

/** Up to `max` different turns about a scene, the same for the same scene, seed and options. */
export function turnsFor(scene: Scene, seed: number, options: TurnOptions = {}): Turn[] {
  const rng = new Random(seed, 'turns');
  const max = options.max ?? 6;
  const types = options.types ?? TURN_TYPES;
  const weights = types.map((type) => options.weights?.[type] ?? DEFAULT_WEIGHTS[type]);
  const turns: Turn[] = [];
  const asked = new Set<string>();
  for (let tries = 0; turns.length < max && tries < max * 8; tries++) {
    const type = types[rng.weighted(weights)] as TurnType;
    const turn = MAKERS[type](scene, rng, turns);
    if (!turn) continue;
    const keys = keysOf(turn);
    if (keys.some((key) => asked.has(key))) continue;
    for (const key of keys) asked.add(key);
    turns.push(turn);
  }
  return turns;
}

/**
 * Turns that share a key would ask the same thing in other words, or one would give the other's answer away: the box of
 * a thing is spoken of once in a conversation.
 */
function keysOf(turn: Turn): string[] {
  if (turn.type === 'caption') return ['caption'];
  if (turn.type === 'existence') return [`existence/${turn.phrase}`];
  if (turn.boxes && turn.objects) return turn.objects.map((index) => `box/${index}`);
  return [turn.question];
}

function ask(rng: Random, template: TemplateName, words: Record<string, string> = {}): string {
  return fillTemplate(rng.pick(TEMPLATES[template] as readonly string[]), words);
}

function framed(short: string): Pick<Turn, 'answer' | 'short'> {
  return { answer: `The answer is ${short}.`, short };
}

function yesNo(truth: boolean): Pick<Turn, 'answer' | 'short'> {
  return framed(truth ? 'yes' : 'no');
}

function indexOf(scene: Scene, object: SceneObject): number {
  return scene.objects.indexOf(object);
}

/** What an existence question asks for: a noun, for shapes sometimes with a colour. */
export interface Target {
  readonly noun: string;
  readonly color?: ColorName;
}

/** How many things of that name (and colour) are in the scene. */
export function countOf(scene: Scene, { noun, color }: Target): number {
  return scene.objects.filter((object) => object.noun === noun && (color === undefined || object.color === color))
    .length;
}

/** Whether something of that name (and colour) is in the scene. */
export const isPresent = (scene: Scene, target: Target): boolean => countOf(scene, target) > 0;

/** A thing that is not there: half of them easily confused with one that is, the others as frequent as in scenes. */
export function absentTarget(scene: Scene, rng: Random): Target {
  for (;;) {
    const target = rng.chance(0.5) ? confusableTarget(rng.pick(scene.objects), rng) : randomTarget(rng);
    if (!isPresent(scene, target)) return target;
  }
}

function confusableTarget(object: SceneObject, rng: Random): Target {
  const sameCategory = NOUNS.filter((noun) => noun.category === object.category && noun.name !== object.noun);
  if (!object.color) return { noun: rng.pick(sameCategory).name };
  const otherColor = rng.pick(COLOR_NAMES.filter((name) => name !== object.color));
  if (rng.chance(0.35)) return { noun: object.noun, color: otherColor };
  const noun = rng.pick(sameCategory).name;
  return rng.chance(0.5) ? { noun, color: object.color } : { noun };
}

function randomTarget(rng: Random): Target {
  if (rng.chance(0.75)) return { noun: rng.pick(ICON_NOUNS).name };
  const noun = rng.pick(SHAPE_NOUNS).name;
  return rng.chance(0.6) ? { noun, color: rng.pick(COLOR_NAMES) } : { noun };
}

/** Yes and no are equally likely; with nothing left to say yes to, nothing is asked, so that they stay so. */
function existence(scene: Scene, rng: Random, before: readonly Turn[]): Turn | undefined {
  const asked = new Set(before.flatMap((turn) => (turn.type === 'existence' ? [turn.phrase] : [])));
  const item = rng.pick(scene.objects);
  const present: Target = item.color !== undefined && rng.chance(0.6) ? item : { noun: item.noun };
  if (asked.has(nameOf(present))) return undefined;
  const truth = rng.chance(0.5);
  const target = truth ? present : absentTarget(scene, rng);
  return {
    type: 'existence',
    question: ask(rng, 'existence', {
      obj: withArticle(nameOf(target)),
      objs: pluralOf(target.noun, target.color),
    }),
    ...yesNo(truth),
    phrase: nameOf(target),
  };
}

function object(scene: Scene, rng: Random): Turn | undefined {
  const [only] = scene.objects;
  const way = rng.int(3);
  if (scene.objects.length === 1 && only && way !== 2) {
    return { type: 'object', question: ask(rng, 'objectSingle'), ...framed(only.noun), objects: [0] };
  }
  return way === 0 ? objectOfCategory(scene, rng) : (objectAtSide(scene, rng) ?? objectOfCategory(scene, rng));
}

function objectOfCategory(scene: Scene, rng: Random): Turn | undefined {
  const singles = scene.objects.filter(
    (item) =>
      CATEGORY_WORDS[item.category] &&
      scene.objects.every((other) => other === item || other.category !== item.category),
  );
  if (singles.length === 0) return undefined;
  const item = rng.pick(singles);
  const category = (CATEGORY_WORDS[item.category] as readonly [string, string])[0];
  return {
    type: 'object',
    question: ask(rng, 'objectCategory', { category }),
    ...framed(item.noun),
    objects: [indexOf(scene, item)],
  };
}

/** A side with exactly one thing clearly in it, while every other thing is clearly not. */
function objectAtSide(scene: Scene, rng: Random): Turn | undefined {
  for (const side of rng.shuffle(['left', 'right', 'top', 'bottom', 'middle'] as const)) {
    const fits = scene.objects.map((item) => isAtSide(scene, item, side));
    if (fits.includes(undefined) || fits.filter(Boolean).length !== 1) continue;
    const item = scene.objects[fits.indexOf(true)] as SceneObject;
    return {
      type: 'object',
      question: ask(rng, 'objectSide', { side: sideWords(side) }),
      ...framed(item.noun),
      objects: [indexOf(scene, item)],
    };
  }
  return undefined;
}

/** Whether a thing is at a side; undefined when that is not clear. `middle` means the middle of both directions. */
function isAtSide(scene: Scene, item: SceneObject, side: Horizontal | Vertical): boolean | undefined {
  const column = horizontalPlace(scene, item);
  const row = verticalPlace(scene, item);
  if (side === 'middle') {
    if (column === undefined || row === undefined) {
      return (column ?? 'middle') !== 'middle' || (row ?? 'middle') !== 'middle' ? false : undefined;
    }
    return column === 'middle' && row === 'middle';
  }
  const place = side === 'left' || side === 'right' ? column : row;
  return place === undefined ? undefined : place === side;
}

function color(scene: Scene, rng: Random): Turn | undefined {
  const shapes = scene.objects.filter((item) => item.color !== undefined);
  if (shapes.length === 0) return undefined;
  const item = rng.pick(shapes);
  const itemColor = item.color as ColorName;
  const about = { type: 'color' as const, objects: [indexOf(scene, item)] };
  const way = rng.int(5);
  if (way === 0) {
    return { ...about, question: ask(rng, 'colorAt'), ...framed(itemColor), boxes: [[...item.box]] };
  }
  if (way === 1) {
    if (shapes.filter((other) => other.color === itemColor).length > 1) return undefined;
    return { ...about, question: ask(rng, 'shapeOfColor', { color: itemColor }), ...framed(item.noun) };
  }
  const expression = colorlessExpression(scene, item, rng);
  if (!expression) return undefined;
  if (way === 2) {
    const truth = rng.chance(0.5);
    const named = truth ? itemColor : rng.pick(COLOR_NAMES.filter((name) => name !== itemColor));
    return { ...about, question: ask(rng, 'colorYesNo', { expr: `the ${expression}`, color: named }), ...yesNo(truth) };
  }
  return { ...about, question: ask(rng, 'color', { expr: `the ${expression}` }), ...framed(itemColor) };
}

function colorlessExpression(scene: Scene, item: SceneObject, rng: Random): string | undefined {
  const fitting = expressionsFor(scene, item).filter(
    (expression) => expression.by !== 'category' && !COLOR_NAMES.some((name) => expression.text.includes(name)),
  );
  return fitting.length > 0 ? pickExpression(fitting, rng) : undefined;
}

function count(scene: Scene, rng: Random): Turn | undefined {
  const draw = rng.next();
  if (draw < 0.12) {
    const target = absentTarget(scene, rng);
    return {
      type: 'count',
      question: ask(rng, 'count', { objs: pluralOf(target.noun, target.color) }),
      ...framed('0'),
    };
  }
  const item = rng.pick(scene.objects);
  const words = CATEGORY_WORDS[item.category];
  if (draw < 0.3 && words) {
    return countTurn(scene, rng, words[1], (other) => other.category === (item.category as Category));
  }
  if (draw < 0.42) return countTurn(scene, rng, rng.pick(['objects', 'things']), () => true);
  // Repeated things first, else most answers would be 1.
  const repeated = scene.objects.filter(
    (other) => scene.objects.filter((third) => third.noun === other.noun).length > 1,
  );
  const chosen = repeated.length > 0 && rng.chance(0.7) ? rng.pick(repeated) : item;
  if (chosen.color && rng.chance(0.4)) {
    const name = nameOf(chosen);
    return countTurn(scene, rng, pluralOf(chosen.noun, chosen.color), (other) => nameOf(other) === name);
  }
  return countTurn(scene, rng, pluralOf(chosen.noun), (other) => other.noun === chosen.noun);
}

function countTurn(scene: Scene, rng: Random, objs: string, fits: (object: SceneObject) => boolean): Turn {
  const number = scene.objects.filter(fits).length;
  const objects = scene.objects.flatMap((item, i) => (fits(item) ? [i] : []));
  return { type: 'count', question: ask(rng, 'count', { objs }), ...framed(String(number)), objects };
}

/** MME's question for a number. */
export function exactQuestion(noun: string, number: number): string {
  const what = number === 1 ? `Is there exactly one ${noun}` : `Are there exactly ${number} ${pluralOf(noun)}`;
  return `${what} in this image?`;
}

/** MME's way to ask for a number: is it exactly this one? */
function exact(scene: Scene, rng: Random): Turn {
  const item = rng.pick(scene.objects);
  const number = countOf(scene, { noun: item.noun });
  const truth = rng.chance(0.5);
  const asked = truth ? number : number > 1 && rng.chance(0.5) ? number - 1 : number + 1;
  const suffix = rng.chance(0.7) ? ' Please answer yes or no.' : '';
  return { type: 'exact', question: `${exactQuestion(item.noun, asked)}${suffix}`, ...yesNo(truth) };
}

/** Names of the options of a choice. */
export const LETTERS = ['A', 'B', 'C', 'D'] as const;

/** MMBench's way: four options with letters, one of them right. */
function choice(scene: Scene, rng: Random): Turn | undefined {
  const drawn = choiceOf(scene, rng);
  if (drawn === undefined) return undefined;
  const options = rng.shuffle([drawn.right, ...rng.shuffle(drawn.wrong).slice(0, LETTERS.length - 1)]);
  const lines = options.map((option, i) => `${LETTERS[i]}. ${option}`).join('\n');
  return {
    type: 'choice',
    question: `Question: ${drawn.question}\nOptions:\n${lines}\nPlease select the correct answer from the options above.`,
    ...framed(LETTERS[options.indexOf(drawn.right)] as string),
  };
}

function choiceOf(scene: Scene, rng: Random): { question: string; right: string; wrong: string[] } | undefined {
  const way = rng.int(4);
  if (way === 0) {
    const item = rng.pick(scene.objects);
    const number = countOf(scene, { noun: item.noun });
    const others = [0, 1, 2, 3, 4].filter((other) => other !== number);
    return {
      question: `How many ${pluralOf(item.noun)} are there in the picture?`,
      right: String(number),
      wrong: others.map(String),
    };
  }
  const shape = scene.objects.find(({ color, noun }) => color !== undefined && countOf(scene, { noun }) === 1);
  if (way === 1) {
    if (shape?.color === undefined) return undefined;
    const wrong = COLOR_NAMES.filter((name) => name !== shape.color);
    return { question: `What color is the ${shape.noun}?`, right: shape.color, wrong };
  }
  const absent = NOUNS.filter(({ name }) => !isPresent(scene, { noun: name }));
  return {
    question: 'Which of these things is in the picture?',
    right: withArticle(rng.pick(scene.objects).noun),
    wrong: absent.map(({ name }) => withArticle(name)),
  };
}

function position(scene: Scene, rng: Random): Turn | undefined {
  const item = rng.pick(scene.objects);
  const name = uniqueName(scene, item);
  if (!name) return undefined;
  const expr = `the ${name}`;
  const about = { type: 'position' as const, objects: [indexOf(scene, item)] };
  const column = horizontalPlace(scene, item);
  const row = verticalPlace(scene, item);
  const way = rng.int(4);
  if (way === 0) {
    const place = placeName(scene, item);
    return place ? { ...about, question: ask(rng, 'positionOpen', { expr }), ...framed(place) } : undefined;
  }
  const sides = [column, row].filter((side) => side !== undefined && side !== 'middle');
  if (sides.length === 0) return undefined;
  const side = rng.pick(sides) as 'left' | 'right' | 'top' | 'bottom';
  const isHorizontal = side === 'left' || side === 'right';
  if (way === 1) {
    const truth = rng.chance(0.5);
    const opposite = { left: 'right', right: 'left', top: 'bottom', bottom: 'top' } as const;
    const named = sideWords(truth ? side : opposite[side]);
    return { ...about, question: ask(rng, 'positionYesNo', { expr, side: named }), ...yesNo(truth) };
  }
  const template = isHorizontal ? 'positionHorizontal' : 'positionVertical';
  return { ...about, question: ask(rng, template, { expr }), ...framed(side) };
}

function relation(scene: Scene, rng: Random): Turn | undefined {
  if (scene.objects.length < 2) return undefined;
  const [a, b] = rng.shuffle(scene.objects) as [SceneObject, SceneObject];
  const nameB = uniqueName(scene, b);
  if (!nameB) return undefined;
  const other = `the ${nameB}`;
  const way = rng.int(3);
  if (way === 0) return relationOpen(scene, rng, b, other);
  const nameA = uniqueName(scene, a);
  const held = RELATIONS.filter((candidate) => isRelated(scene, a, b, candidate));
  if (!nameA || held.length === 0) return undefined;
  const holding = rng.pick(held);
  const expr = `the ${nameA}`;
  const about = { type: 'relation' as const, objects: [indexOf(scene, a), indexOf(scene, b)] };
  if (way === 1) {
    const truth = rng.chance(0.5);
    const named = relationWords(truth ? holding : oppositeOf(holding));
    return { ...about, question: ask(rng, 'relationYesNo', { expr, relation: named, other }), ...yesNo(truth) };
  }
  const template = holding === 'left' || holding === 'right' ? 'relationHorizontal' : 'relationVertical';
  return { ...about, question: ask(rng, template, { expr, other }), ...framed(holding) };
}

function relationOpen(scene: Scene, rng: Random, anchor: SceneObject, other: string): Turn | undefined {
  for (const candidate of rng.shuffle(RELATIONS as readonly Relation[])) {
    const found = relatedTo(scene, anchor, candidate);
    if (found?.length !== 1) continue;
    const item = found[0] as SceneObject;
    return {
      type: 'relation',
      question: ask(rng, 'relationOpen', { relation: relationWords(candidate), other }),
      ...framed(item.noun),
      objects: [indexOf(scene, item), indexOf(scene, anchor)],
    };
  }
  return undefined;
}

/** Mostly the plain name where it is enough, else any expression. */
function pickExpression(expressions: readonly ReferringExpression[], rng: Random): string {
  const names = expressions.filter((expression) => expression.by === 'name');
  const pool = names.length > 0 && rng.chance(0.65) ? names : expressions;
  return rng.pick(pool).text;
}

function rec(scene: Scene, rng: Random): Turn | undefined {
  const item = rng.pick(scene.objects);
  const expressions = expressionsFor(scene, item);
  if (expressions.length === 0) return undefined;
  const phrase = pickExpression(expressions, rng);
  const expr = rng.chance(0.85) ? `the ${phrase}` : phrase;
  return {
    type: 'rec',
    question: ask(rng, 'rec', { expr }),
    answer: 'Answer: <boxes>.',
    boxes: [[...item.box]],
    phrase,
    objects: [indexOf(scene, item)],
  };
}

function reg(scene: Scene, rng: Random): Turn | undefined {
  const item = rng.pick(scene.objects);
  const phrase = distinguishingPhrase(scene, item);
  if (!phrase) return undefined;
  return {
    type: 'reg',
    question: ask(rng, 'reg'),
    answer: phrase,
    boxes: [[...item.box]],
    phrase,
    objects: [indexOf(scene, item)],
  };
}

function nameAt(scene: Scene, rng: Random): Turn {
  const item = rng.pick(scene.objects);
  return {
    type: 'name-at',
    question: ask(rng, 'nameAt'),
    ...framed(nameOf(item)),
    boxes: [[...item.box]],
    phrase: nameOf(item),
    objects: [indexOf(scene, item)],
  };
}

function caption(scene: Scene, rng: Random): Turn {
  return { type: 'caption', question: ask(rng, 'caption'), answer: mainCaption(scene) };
}

function spot(scene: Scene, rng: Random): Turn {
  const named = new Set<string>();
  const ordered = readingOrder(scene);
  const parts = ordered.map((item) => {
    const name = nameOf(item);
    const phrase = named.has(name) ? `another ${name}` : phraseFor(item);
    named.add(name);
    return `${phrase} <boxes>`;
  });
  const text = joinWords(parts);
  return {
    type: 'spot',
    question: ask(rng, 'spot'),
    answer: `${text.charAt(0).toUpperCase()}${text.slice(1)}.`,
    boxes: ordered.map((item) => [...item.box]),
    objects: ordered.map((item) => indexOf(scene, item)),
  };
}

const MAKERS: Readonly<Record<TurnType, Maker>> = {
  existence,
  object,
  color,
  count,
  position,
  relation,
  rec,
  reg,
  'name-at': nameAt,
  caption,
  spot,
  exact,
  choice,
};
