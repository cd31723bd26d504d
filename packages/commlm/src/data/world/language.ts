/** Words for what a scene holds: phrases, unambiguous referring expressions, captions. All text is true of the scene. */

import type { SceneObject } from './placement.js';
import { Random } from './random.js';
import type { Scene } from './scene.js';
import { CATEGORY_WORDS, nounOf } from './vocabulary.js';

const NUMBER_WORDS = ['no', 'one', 'two', 'three', 'four'] as const;

/** `a` or `an` in front of a word. */
export function withArticle(words: string): string {
  return `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`;
}

/** Noun with its colour if it has one: `dog`, `red circle`. */
export function nameOf(object: Pick<SceneObject, 'noun' | 'color'>): string {
  return object.color ? `${object.color} ${object.noun}` : object.noun;
}

/** Short phrase for one thing: `a dog`, `a red circle`. */
export function phraseFor(object: Pick<SceneObject, 'noun' | 'color'>): string {
  return withArticle(nameOf(object));
}

/** Plural of a noun, with a colour in front if given: `buses`, `red circles`. */
export function pluralOf(noun: string, color?: string): string {
  return color ? `${color} ${nounOf(noun).plural}` : nounOf(noun).plural;
}

export type Horizontal = 'left' | 'middle' | 'right';
export type Vertical = 'top' | 'middle' | 'bottom';
export type Relation = 'left' | 'right' | 'above' | 'below';

function centre(object: SceneObject): [number, number] {
  return [(object.box[0] + object.box[2]) / 2, (object.box[1] + object.box[3]) / 2];
}

/** Third of the width that a thing's centre clearly lies in; undefined near a border. */
export function horizontalPlace(scene: Scene, object: SceneObject): Horizontal | undefined {
  return third(centre(object)[0] / scene.width, ['left', 'middle', 'right']);
}

/** Third of the height that a thing's centre clearly lies in; undefined near a border. */
export function verticalPlace(scene: Scene, object: SceneObject): Vertical | undefined {
  return third(centre(object)[1] / scene.height, ['top', 'middle', 'bottom']);
}

function third<T>(share: number, names: readonly [T, T, T]): T | undefined {
  if (share < 0.36) return names[0];
  if (share > 0.64) return names[2];
  return share > 0.41 && share < 0.59 ? names[1] : undefined;
}

/** Place in words, `top left` to `middle`; undefined when one direction is not clear. */
export function placeName(scene: Scene, object: SceneObject): string | undefined {
  const column = horizontalPlace(scene, object);
  const row = verticalPlace(scene, object);
  if (!column || !row) return undefined;
  if (row === 'middle') return column;
  return column === 'middle' ? row : `${row} ${column}`;
}

/** Whether `a` clearly stands in the relation to `b`: centres apart by 12 % of the long side and mostly in that direction. */
export function isRelated(scene: Scene, a: SceneObject, b: SceneObject, relation: Relation): boolean {
  const margin = 0.12 * Math.max(scene.width, scene.height);
  const along = offsetAlong(a, b, relation);
  const across = Math.abs(offsetAlong(a, b, relation === 'left' || relation === 'right' ? 'above' : 'left'));
  return along >= margin && along >= 0.7 * across;
}

/** How far `a` lies from `b` in the direction of the relation, pixels; negative on the other side. */
function offsetAlong(a: SceneObject, b: SceneObject, relation: Relation): number {
  const [ax, ay] = centre(a);
  const [bx, by] = centre(b);
  if (relation === 'left') return bx - ax;
  if (relation === 'right') return ax - bx;
  return relation === 'above' ? by - ay : ay - by;
}

/** Things other than `anchor` that are clearly in the relation to it, if the rest clearly is not; else undefined. */
export function relatedTo(scene: Scene, anchor: SceneObject, relation: Relation): SceneObject[] | undefined {
  const found: SceneObject[] = [];
  for (const object of scene.objects) {
    if (object === anchor) continue;
    if (isRelated(scene, object, anchor, relation)) found.push(object);
    else if (offsetAlong(object, anchor, relation) > 0) return undefined;
  }
  return found;
}

export const RELATIONS = ['left', 'right', 'above', 'below'] as const satisfies readonly Relation[];
const RELATION_WORDS: Readonly<Record<Relation, string>> = {
  left: 'to the left of',
  right: 'to the right of',
  above: 'above',
  below: 'below',
};

/** `to the left of`, `to the right of`, `above`, `below`. */
export function relationWords(relation: Relation): string {
  return RELATION_WORDS[relation];
}

/** The other way round: left and right, above and below. */
export function oppositeOf(relation: Relation): Relation {
  return ({ left: 'right', right: 'left', above: 'below', below: 'above' } as const)[relation];
}

const SIDE_WORDS: Readonly<Record<Horizontal | Vertical, string>> = {
  left: 'on the left',
  right: 'on the right',
  top: 'at the top',
  bottom: 'at the bottom',
  middle: 'in the middle',
};

/** `on the left`, `at the top`, `in the middle`. */
export function sideWords(side: Horizontal | Vertical): string {
  return SIDE_WORDS[side];
}

/** An expression that fits exactly one thing of the scene, without article. */
export interface ReferringExpression {
  readonly text: string;
  /** What tells the thing apart: its name alone, or its name with a place, size or neighbour. */
  readonly by: 'name' | 'category' | 'place' | 'size' | 'relation';
}

interface Head {
  text: string;
  matches: SceneObject[];
  isCategory: boolean;
}

function headsFor(scene: Scene, object: SceneObject): Head[] {
  const heads: Head[] = [];
  const add = (text: string, isCategory: boolean, fits: (other: SceneObject) => boolean) =>
    heads.push({ text, isCategory, matches: scene.objects.filter(fits) });
  if (object.color) add(nameOf(object), false, (other) => nameOf(other) === nameOf(object));
  add(object.noun, false, (other) => other.noun === object.noun);
  const word = CATEGORY_WORDS[object.category];
  if (word && !word[0].includes(' ')) add(word[0], true, (other) => other.category === object.category);
  if (object.color) add(`${object.color} shape`, true, (other) => other.color === object.color);
  return heads;
}

/** All expressions for one thing, the plainest first; empty when the scene leaves every one ambiguous. */
export function expressionsFor(scene: Scene, object: SceneObject): ReferringExpression[] {
  const out: ReferringExpression[] = [];
  for (const head of headsFor(scene, object)) {
    const others = head.matches.filter((other) => other !== object);
    if (others.length === 0) out.push({ text: head.text, by: head.isCategory ? 'category' : 'name' });
    out.push(...placeExpressions(scene, object, head, others));
    out.push(...sizeExpressions(object, head, others));
    out.push(...relationExpressions(scene, object, head, others));
  }
  const plainness = { name: 0, place: 1, size: 2, relation: 3, category: 4 } as const;
  return out.sort((a, b) => plainness[a.by] - plainness[b.by]);
}

function placeExpressions(scene: Scene, object: SceneObject, head: Head, others: SceneObject[]): ReferringExpression[] {
  const out: ReferringExpression[] = [];
  const add = (text: string) => out.push({ text, by: 'place' });
  if (others.length === 0) {
    if (head.isCategory) return [];
    const column = horizontalPlace(scene, object);
    const row = verticalPlace(scene, object);
    if (column && column !== 'middle') add(`${head.text} ${sideWords(column)}`);
    if (row && row !== 'middle') add(`${head.text} ${sideWords(row)}`);
    return out;
  }
  const margin = 0.1 * Math.max(scene.width, scene.height);
  const isFarthest = (relation: Relation) => others.every((other) => offsetAlong(object, other, relation) >= margin);
  if (isFarthest('left')) out.push(...both(head.text, 'left', 'on the left'));
  if (isFarthest('right')) out.push(...both(head.text, 'right', 'on the right'));
  if (isFarthest('above')) out.push(...both(head.text, 'top', 'at the top'));
  if (isFarthest('below')) out.push(...both(head.text, 'bottom', 'at the bottom'));
  return out;
}

function both(head: string, adjective: string, place: string): ReferringExpression[] {
  return [
    { text: `${head} ${place}`, by: 'place' },
    { text: `${adjective} ${head}`, by: 'place' },
  ];
}

function areaOf(object: SceneObject): number {
  return (object.box[2] - object.box[0]) * (object.box[3] - object.box[1]);
}

function sizeExpressions(object: SceneObject, head: Head, others: SceneObject[]): ReferringExpression[] {
  if (others.length === 0) return [];
  const area = areaOf(object);
  const comparative = others.length === 1;
  if (others.every((other) => area >= 1.5 * areaOf(other))) {
    return [{ text: `${comparative ? 'bigger' : 'biggest'} ${head.text}`, by: 'size' }];
  }
  if (others.every((other) => areaOf(other) >= 1.5 * area)) {
    return [{ text: `${comparative ? 'smaller' : 'smallest'} ${head.text}`, by: 'size' }];
  }
  return [];
}

function relationExpressions(
  scene: Scene,
  object: SceneObject,
  head: Head,
  others: SceneObject[],
): ReferringExpression[] {
  if (head.isCategory) return [];
  const out: ReferringExpression[] = [];
  for (const anchor of scene.objects) {
    if (anchor === object || head.matches.includes(anchor)) continue;
    const anchorName = uniqueName(scene, anchor);
    if (!anchorName) continue;
    for (const relation of RELATIONS) {
      const single = others.every((other) => offsetAlong(other, anchor, relation) < 0);
      if (!single || !isRelated(scene, object, anchor, relation)) continue;
      out.push({ text: `${head.text} ${relationWords(relation)} the ${anchorName}`, by: 'relation' });
    }
  }
  return out;
}

/** Noun, or colour and noun, if it fits this thing alone; else undefined. */
export function uniqueName(scene: Scene, object: SceneObject): string | undefined {
  if (scene.objects.filter((other) => other.noun === object.noun).length === 1) return object.noun;
  const name = nameOf(object);
  return scene.objects.filter((other) => nameOf(other) === name).length === 1 ? name : undefined;
}

/** What a description of this region should say: `a dog`, or `the dog on the left` where there are several. */
export function distinguishingPhrase(scene: Scene, object: SceneObject): string | undefined {
  const name = nameOf(object);
  if (scene.objects.every((other) => other === object || nameOf(other) !== name)) return phraseFor(object);
  const [plainest] = expressionsFor(scene, object);
  return plainest && `the ${plainest.text}`;
}

/** `a dog, a cat and two keys`. */
export function joinWords(parts: readonly string[]): string {
  if (parts.length <= 1) return parts[0] ?? '';
  return `${parts.slice(0, -1).join(', ')} and ${parts[parts.length - 1]}`;
}

/** Things in reading order: by the left edge of the centre, ties from the top. */
export function readingOrder(scene: Scene): SceneObject[] {
  return [...scene.objects].sort((a, b) => centre(a)[0] - centre(b)[0] || centre(a)[1] - centre(b)[1]);
}

interface Group {
  words: string;
  members: SceneObject[];
}

function groupsOf(scene: Scene): Group[] {
  const groups = new Map<string, SceneObject[]>();
  for (const object of readingOrder(scene)) {
    const name = nameOf(object);
    groups.set(name, [...(groups.get(name) ?? []), object]);
  }
  return [...groups.values()].map((members) => {
    const first = members[0]!;
    const words =
      members.length === 1 ? phraseFor(first) : `${NUMBER_WORDS[members.length]} ${pluralOf(first.noun, first.color)}`;
    return { words, members };
  });
}

/** `a dog on the left`: the group with its side when it is one thing and the side is clear. */
function placedWords(scene: Scene, group: Group): string {
  const [only] = group.members;
  if (group.members.length !== 1 || !only) return group.words;
  const column = horizontalPlace(scene, only);
  const row = verticalPlace(scene, only);
  const side = column && column !== 'middle' ? column : row && row !== 'middle' ? row : column && row;
  return side ? `${group.words} ${sideWords(side)}` : group.words;
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** The one caption that a model should give: everything from left to right, with sides where they are clear. */
export function mainCaption(scene: Scene): string {
  return sentence(joinWords(groupsOf(scene).map((group) => placedWords(scene, group))));
}

const CAPTION_OPENINGS = [
  'a picture of',
  'an image of',
  'a drawing of',
  'an illustration of',
  'this picture shows',
  'the image shows',
  'here we see',
  'a scene with',
] as const;

/** `n` different captions of the scene (fewer when it has no more), in an order drawn from the seed. */
export function captionsFor(scene: Scene, seed: number, n: number): string[] {
  const rng = new Random(seed, 'captions');
  const groups = groupsOf(scene);
  const list = joinWords(groups.map((group) => group.words));
  const placed = joinWords(groups.map((group) => placedWords(scene, group)));
  const mixed = joinWords(rng.shuffle(groups).map((group) => group.words));
  const verb = groups[0]?.members.length === 1 ? 'there is' : 'there are';
  const openings = rng.shuffle(CAPTION_OPENINGS);
  const captions = [
    list,
    placed,
    `${verb} ${list}`,
    `${verb} ${placed}`,
    `${openings[0]} ${list}`,
    `${openings[1]} ${mixed}`,
  ];
  captions.push(`${openings[2]} ${placed}`);
  const [a, b] = rng.shuffle(groups);
  if (a && b && groups.length === 2 && a.members.length === 1 && b.members.length === 1) {
    const [first, second] = [a.members[0]!, b.members[0]!];
    const relation = RELATIONS.find((candidate) => isRelated(scene, first, second, candidate));
    if (relation) captions.push(`${a.words} ${relationWords(relation)} ${b.words}`);
  }
  return [...new Set(rng.shuffle(captions))].slice(0, n).map(sentence);
}
