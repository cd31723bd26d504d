/** Questions about two pictures shown together, true by construction. */

import { mainCaption, nameOf, pluralOf, withArticle } from './language.js';
import { absentTarget, countOf, isPresent, type Target } from './questions.js';
import { Random } from './random.js';
import type { Scene } from './scene.js';
import { fillTemplate } from './templates.js';

export const PAIR_TYPES = ['which', 'existence', 'both', 'count', 'caption'] as const;
export type PairType = (typeof PAIR_TYPES)[number];

/** One question about two pictures. */
export interface PairTurn {
  readonly type: PairType;
  readonly question: string;
  readonly answer: string;
  /** The answer without its frame; a caption has none. */
  readonly short?: string;
}

const ORDINALS = ['first', 'second'] as const;

/** Wordings; `<which>` is the ordinal of a picture. */
const TEMPLATES = {
  which: [
    'Which picture shows <obj>?',
    'In which picture is there <obj>?',
    'Which of the two pictures has <obj> in it?',
    'Which image contains <obj>?',
    'Where can you see <obj>: in the first picture or in the second?',
  ],
  existence: [
    'Is there <obj> in the <which> picture?',
    'Is there <obj> in the <which> image?',
    'Does the <which> picture show <obj>?',
    'Can you see <obj> in the <which> picture?',
    'Are there any <objs> in the <which> picture?',
  ],
  both: [
    'Do both pictures show <obj>?',
    'Is there <obj> in both pictures?',
    'Can you see <obj> in both images?',
    'Do the two pictures both have <obj> in them?',
  ],
  count: [
    'How many <objs> are there in the two pictures together?',
    'How many <objs> do the two pictures show in all?',
    'Count the <objs> in both images.',
  ],
  caption: [
    'Describe the <which> picture.',
    'What is in the <which> picture?',
    'What does the <which> image show?',
    'Give a caption for the <which> image.',
  ],
} as const satisfies Record<PairType, readonly string[]>;

const framed = (short: string): Pick<PairTurn, 'answer' | 'short'> => ({ answer: `The answer is ${short}.`, short });
const yesNo = (truth: boolean): Pick<PairTurn, 'answer' | 'short'> => framed(truth ? 'yes' : 'no');

function ask(rng: Random, type: PairType, target: Target, which: string): string {
  return fillTemplate(rng.pick(TEMPLATES[type] as readonly string[]), {
    obj: withArticle(nameOf(target)),
    objs: pluralOf(target.noun, target.color),
    which,
  });
}

/** Something that one of the scenes shows. */
const shownTarget = (scene: Scene, rng: Random): Target => {
  const item = rng.pick(scene.objects);
  return item.color !== undefined && rng.chance(0.5) ? item : { noun: item.noun };
};

/** One question of a type, or undefined where these two scenes have none. */
function pairTurn(type: PairType, scenes: readonly [Scene, Scene], rng: Random): PairTurn | undefined {
  const at = rng.int(2);
  const scene = scenes[at]!;
  const which = ORDINALS[at]!;
  switch (type) {
    case 'which': {
      const target = rng.chance(0.85) ? shownTarget(scene, rng) : absentTarget(scene, rng);
      const [first, second] = scenes.map((s) => isPresent(s, target));
      const short = first && second ? 'both' : first ? 'the first' : second ? 'the second' : 'neither';
      return { type, question: ask(rng, type, target, which), ...framed(short) };
    }
    case 'existence': {
      // What is asked for and absent stands half of the time in the other picture: only looking at the right one helps.
      const other = scenes[1 - at]!;
      const elsewhere = shownTarget(other, rng);
      const absent = rng.chance(0.5) && !isPresent(scene, elsewhere) ? elsewhere : absentTarget(scene, rng);
      const target = rng.chance(0.5) ? shownTarget(scene, rng) : absent;
      return { type, question: ask(rng, type, target, which), ...yesNo(isPresent(scene, target)) };
    }
    case 'both': {
      const shared = scene.objects.filter((object) => isPresent(scenes[1 - at]!, { noun: object.noun }));
      const target = shared.length > 0 ? { noun: rng.pick(shared).noun } : shownTarget(scene, rng);
      if (shared.length === 0 && rng.chance(0.7)) return undefined;
      return { type, question: ask(rng, type, target, which), ...yesNo(scenes.every((s) => isPresent(s, target))) };
    }
    case 'count': {
      const target = shownTarget(scene, rng);
      const sum = countOf(scenes[0], target) + countOf(scenes[1], target);
      return { type, question: ask(rng, type, target, which), ...framed(String(sum)) };
    }
    case 'caption':
      return { type, question: ask(rng, type, { noun: scene.objects[0]!.noun }, which), answer: mainCaption(scene) };
  }
}

/** Up to `max` different questions about two scenes, the same for the same scenes, seed and types. */
export function pairTurnsFor(
  scenes: readonly [Scene, Scene],
  seed: number,
  { max, types = PAIR_TYPES }: { readonly max: number; readonly types?: readonly PairType[] },
): PairTurn[] {
  const rng = new Random(seed, 'pairs');
  const turns = new Map<string, PairTurn>();
  for (let tries = 0; turns.size < max && tries < max * 8; tries++) {
    const turn = pairTurn(rng.pick(types), scenes, rng);
    if (turn !== undefined) turns.set(turn.question, turn);
  }
  return [...turns.values()];
}
