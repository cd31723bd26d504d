/** Each kind of training, by the `kind` of its recipe: how its task is opened, and how it is outlined for a plan. */
import { existsSync } from 'node:fs';
import type { CommConfig } from '../config/model.js';
import { ASSEMBLED } from '../config/presets.js';
import type { LoopRecipe } from '../config/recipe.js';
import { resolveModelFolder } from '../hub/model-folder.js';
import { describeModel } from '../weights/open-model.js';
import type { TrainingTask } from './loop/loop.js';

type RecipeOf<K extends LoopRecipe['kind']> = Extract<LoopRecipe, { kind: K }>;
type Log = (line: string) => void;

/** What a plan asks of a task. */
export type Outline = Pick<TrainingTask<unknown>, 'parts' | 'frozen' | 'extraState'> & {
  /** What it evaluates on, if anything. */
  readonly evaluate?: unknown;
};

/** One kind, its module loaded. */
export interface TrainingKind<R> {
  /** The task with its weights; batches are read when it is asked for them. */
  open(recipe: R, log: Log): TrainingTask<unknown>;
  /** The task without any file; called on the meta device, where it has shapes and no weights. */
  outline(recipe: R): Outline;
}

/** A kind that needs no file to be built. */
const fresh = <R>(build: (recipe: R, log: Log) => TrainingTask<unknown>): TrainingKind<R> => ({
  open: build,
  outline: (recipe) => build(recipe, () => {}),
});

const KINDS: { readonly [K in LoopRecipe['kind']]: () => Promise<TrainingKind<RecipeOf<K>>> } = {
  clip: async () => {
    const { ClipTask } = await import('./tasks/clip-task.js');
    return fresh(({ clip, loop }, log) => new ClipTask(clip, loop, log));
  },
  dinov2: async () => {
    const { DinoTask } = await import('./tasks/dino-task.js');
    return fresh(({ dinov2, loop }, log) => new DinoTask(dinov2, loop, log));
  },
  mae: async () => {
    const { MaeTask } = await import('./tasks/mae-task.js');
    return fresh(({ mae, loop }, log) => new MaeTask(mae, loop, log));
  },
  deit: async () => {
    const { DeitTask } = await import('./tasks/deit-task.js');
    return fresh(({ deit, loop }, log) => new DeitTask(deit, loop, log));
  },
  lm: async () => {
    const { LmTask } = await import('./tasks/lm-task.js');
    return fresh(({ lm, loop }) => new LmTask(lm, loop));
  },
  comm: async () => {
    const { CommTask } = await import('./tasks/comm-task.js');
    return {
      open: ({ comm, loop }) => CommTask.open(comm, loop),
      outline: ({ comm, loop }) => CommTask.outline(comm, loop),
    };
  },
  stage: async () => {
    const { StageTask } = await import('./tasks/stage-task.js');
    return {
      open: ({ stage, loop }, log) => StageTask.open(stage, loop.batchSize, log),
      outline: (recipe) => {
        const { parts, frozen } = StageTask.outline(recipe.stage, shapeOf(recipe));
        return { parts, ...(frozen === undefined ? {} : { frozen }), evaluate: recipe.stage.held ?? undefined };
      },
    };
  },
};

/** The kind of a recipe. */
export const kindOf = <R extends LoopRecipe>({ kind }: R): Promise<TrainingKind<R>> =>
  KINDS[kind]() as Promise<TrainingKind<R>>;

/** The model of a stage: as its folder says, or as its parts will make it. */
export function shapeOf({ stage, assembled }: RecipeOf<'stage'>): CommConfig {
  if (assembled !== undefined && !existsSync(stage.model)) return ASSEMBLED[assembled]();
  return describeModel(resolveModelFolder(stage.model)).config;
}
