/** Questions about scenes of the synthetic world, as `eval world` asks them. */
import {
  makeScene,
  pairTurnsFor,
  type Scene,
  type Split,
  type SpriteBank,
  type StyleChoice,
  sceneSeed,
  turnsFor,
} from '../data/world/index.js';
import { type WrittenTurn, writeTurn } from '../data/world-turns.js';

/** Kinds of questions with a one-phrase answer, scored by equality. */
export const VQA_TYPES = ['object', 'color', 'count', 'position', 'relation', 'name-at'] as const;
export const WORLD_TYPES = ['existence', ...VQA_TYPES, 'dialogue', 'pairs', 'rec', 'caption'] as const;
export type WorldType = (typeof WORLD_TYPES)[number];

/** Turns before the one that is asked in a conversation. */
const TURNS_BEFORE = 2;

/** One question. */
export interface WorldItem {
  readonly scene: Scene;
  /** Place of the scene in its stream. */
  readonly index: number;
  readonly type: WorldType;
  readonly question: string;
  readonly target: string;
  /** Where there is one to point at: its box in pixels of the scene. */
  readonly box?: readonly number[] | undefined;
  readonly history?: readonly WrittenTurn[];
  /** A second picture, shown behind that of `scene`: its place in the stream. */
  readonly second?: number;
}

/** A stream of scenes. */
export interface SceneStream {
  readonly bank: SpriteBank;
  readonly split: Split;
  readonly style: StyleChoice;
  readonly seed: number;
  readonly size: number;
}

/** Scene `index` of a stream. */
export function sceneAt({ seed, ...options }: SceneStream, index: number): Scene {
  return makeScene(sceneSeed(seed, index), options);
}

/** The short answer in `The answer is X.`, lower case. */
export function shortAnswer(text: string): string {
  const match = /the answer is (.*?)\.?\s*$/i.exec(text.trim());
  return (match?.[1] ?? text).trim().toLowerCase();
}

/** A scene with its place. */
export interface PlacedScene {
  readonly scene: Scene;
  readonly index: number;
}

/**
 * One question of each type that a scene has an answer to; `second` is a scene to be shown beside it. Other values of `draw`
 * ask other things about the same scene.
 */
export function itemsOf({ scene, index }: PlacedScene, second: PlacedScene, draw = 0): WorldItem[] {
  const seed = scene.seed + draw * 2;
  const single = (['existence', ...VQA_TYPES, 'rec', 'caption'] as const).flatMap((type): WorldItem[] => {
    const [turn] = turnsFor(scene, seed, { types: [type], max: 1 });
    if (turn === undefined || turn.type !== type) return [];
    const { question, answer } = writeTurn(turn, scene);
    const [box] = turn.boxes ?? [];
    return [{ scene, index, type, question, target: answer, box }];
  });
  return [...single, ...dialogueItem({ scene, index }, seed + 1), ...pairItem({ scene, index }, second, seed)];
}

function dialogueItem({ scene, index }: PlacedScene, seed: number): WorldItem[] {
  const turns = turnsFor(scene, seed, { types: ['existence', ...VQA_TYPES], max: TURNS_BEFORE + 1 });
  const written = turns.map((turn) => writeTurn(turn, scene));
  const last = written.pop();
  if (last === undefined || written.length === 0) return [];
  return [{ scene, index, type: 'dialogue', question: last.question, target: last.answer, history: written }];
}

function pairItem({ scene, index }: PlacedScene, second: PlacedScene, seed: number): WorldItem[] {
  const types = ['which', 'existence', 'both', 'count'] as const;
  const [turn] = pairTurnsFor([scene, second.scene], seed, { max: 1, types });
  if (turn === undefined) return [];
  return [{ scene, index, second: second.index, type: 'pairs', question: turn.question, target: turn.answer }];
}
