/** What a recipe would do, from shapes alone: no data, no weights; the model is built without memory. */
import { type DType, nn, optim } from '@commlm/torch';
import { tokensPerImage } from '../config/model.js';
import { trainsPart } from '../config/parts.js';
import type { LoopRecipe } from '../config/recipe.js';
import type { LoopConfig } from '../config/train.js';
import { numPatches, numTokens } from '../config/vision.js';
import { type FeaturePlan, featurePlan } from './feature-plan.js';
import { kindOf, type Outline } from './kinds.js';
import { countParts, type PartCount, trainedParameters } from './loop/parameter-groups.js';
import {
  type ActivationBytes,
  commActivations,
  LOGIT_BYTES,
  llamaActivations,
  sumActivations,
  vitActivations,
} from './memory/activations.js';
import { type Work, workOf } from './memory/work.js';
import { shapeOfStart } from './tasks/comm/start.js';

/** Bytes of a run by kind, on the device that trains. */
export interface MemoryPlan {
  readonly device: string;
  readonly weights: number;
  readonly gradients: number;
  /** Both averages of AdamW and the f32 copies of narrower weights. */
  readonly optimizer: number;
  /** The average of the weights that the loop keeps, and the state of the task's own. */
  readonly averages: number;
  /** An estimate: what the forward pass keeps, with recompute as the recipe sets it. */
  readonly activations: number;
  readonly total: number;
  /** Smaller sums that the same steps can have, by the settings that give them. */
  readonly smaller: readonly { readonly settings: readonly string[]; readonly total: number }[];
  /** Of one checkpoint on disk, and of all that are kept. */
  readonly checkpoint: number;
  readonly checkpoints: number;
}

/** A run before it begins. */
export interface RunPlan {
  readonly steps: number;
  /** Samples of a step: those of a forward pass times the passes. */
  readonly effectiveBatch: number;
  readonly batchSize: number;
  readonly accumulate: number;
  readonly samples: number;
  readonly warmupSteps: number;
  /** The rate at shares of the run. */
  readonly learningRate: readonly { readonly share: number; readonly step: number; readonly lr: number }[];
  readonly checkpoints: number;
  readonly evaluations: number;
  readonly parts: readonly PartCount[];
  readonly trained: number;
  readonly frozen: number;
  /** What is computed; null where rows have no known length. */
  readonly work: Work | null;
  readonly memory: MemoryPlan;
  /** The cache of frozen encoders' features; null without one. */
  readonly features: FeaturePlan | null;
}

const ITEM_BYTES: Partial<Record<DType, number>> = { f64: 8, f32: 4, bf16: 2, f16: 2, i64: 8, i32: 4, u8: 1, i8: 1 };
const bytesOf = ({ numel, dtype }: { numel: number; dtype: DType }): number => numel * (ITEM_BYTES[dtype] ?? 4);
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

type CommRecipe = Extract<LoopRecipe, { kind: 'comm' }>;

/** Plans a run. */
export async function planRun(recipe: LoopRecipe): Promise<RunPlan> {
  const kind = await kindOf(recipe);
  const task = nn.onMeta(() => kind.outline(recipe));
  const { loop } = recipe;
  const { steps, batchSize, accumulate = 1 } = loop;
  const modules = new Map([...task.parts, ...(task.frozen ?? [])]);
  const parts = countParts(modules);
  const trained = sum(parts.map((part) => part.trained));
  return {
    steps,
    effectiveBatch: batchSize * accumulate,
    batchSize,
    accumulate,
    samples: steps * batchSize * accumulate,
    warmupSteps: Math.ceil(steps * loop.warmupRatio),
    learningRate: rates(loop),
    checkpoints: Math.ceil(steps / loop.saveEvery),
    evaluations: task.evaluate === undefined ? 0 : Math.ceil(steps / loop.evalEvery),
    parts,
    trained,
    frozen: sum(parts.map((part) => part.total)) - trained,
    work: workOf(recipe, recipe.kind === 'comm' ? shapeOfStart(recipe.comm) : null),
    memory: memoryOf(recipe, task, modules),
    features: recipe.kind === 'comm' ? featurePlan(recipe) : null,
  };
}

function rates({ steps, lr, warmupRatio, minLrRatio }: LoopConfig): RunPlan['learningRate'] {
  const schedule = optim.cosineWithWarmup({ steps, warmupRatio, minRatio: minLrRatio });
  return [0, 0.1, 0.5, 1].map((share) => {
    const step = Math.min(steps - 1, Math.round(share * steps));
    return { share, step, lr: lr * schedule(step) };
  });
}

function memoryOf(recipe: LoopRecipe, task: Outline, modules: ReadonlyMap<string, nn.Module>): MemoryPlan {
  const { loop } = recipe;
  const all = new Set([...modules.values()].flatMap((module) => [...module.parameters()]));
  const trained = [...trainedParameters(task.parts).values()];
  const weights = sum([...all].map(bytesOf));
  const gradients = sum(trained.map(bytesOf));
  const optimizer = sum(trained.map(({ numel, dtype }) => numel * (ITEM_BYTES[dtype] === 2 ? 12 : 8)));
  const extra = sum([...(task.extraState?.().values() ?? [])].map(bytesOf));
  const averages = extra + (loop.ema === undefined ? 0 : sum(trained.map(({ numel }) => 4 * numel)));
  const checkpoint = gradients + optimizer + averages;
  const lasting = weights + gradients + optimizer + averages;
  const activations = appliedActivations(recipe);
  return {
    device: placeOf(recipe).device,
    weights,
    gradients,
    optimizer,
    averages,
    activations,
    total: lasting + activations,
    smaller: smallerRecipes(recipe).map(({ settings, recipe }) => ({
      settings,
      total: lasting + appliedActivations(recipe),
    })),
    checkpoint,
    checkpoints: checkpoint * (loop.keepLast + (loop.keepBest === undefined ? 0 : 1)),
  };
}

/** Activations as the recipe has them. */
function appliedActivations(recipe: LoopRecipe): number {
  const { kept, recomputed } = activationsOf(recipe);
  return recipe.kind === 'comm' && recipe.comm.recompute !== null ? recomputed : kept;
}

/** The recipe with recompute, and with one sample a pass: steps that learn the same from less at once. */
function smallerRecipes(recipe: LoopRecipe): { readonly settings: readonly string[]; readonly recipe: LoopRecipe }[] {
  const { batchSize, accumulate = 1 } = recipe.loop;
  if (recipe.kind !== 'comm' || recipe.comm.data.kind !== 'mixture') return [];
  const found = [];
  const recomputed: LoopRecipe = { ...recipe, comm: { ...recipe.comm, recompute: 1 } };
  const settings = recipe.comm.recompute === null ? ['comm.recompute=1'] : [];
  if (settings.length > 0) found.push({ settings, recipe: recomputed });
  if (batchSize > 1) {
    const loop = { ...recipe.loop, batchSize: 1, accumulate: batchSize * accumulate };
    const smallest = ['loop.batchSize=1', `loop.accumulate=${loop.accumulate}`, ...settings];
    found.push({ settings: smallest, recipe: { ...recomputed, loop } });
  }
  return found;
}

/** Tokens of a caption and of a phrase of the world, and phrases a picture, as they come on average. */
const CAPTION = { tokens: 40, phrasesAPicture: 2 };
/** Tokens of a packed row beside its pictures: the frame, a question with its answer, a word asked for alone. */
const ROW = { frame: 30, question: 26, probe: 3, learnedOfQuestion: 10 };
/** Bytes of each score of a prototype: in the model's format, in f32, its logarithm, gradients. */
const PROTOTYPE_BYTES = 16;
/** Large views of self-distillation. */
const LARGE_VIEWS = 2;

/** Where a recipe computes, and the bytes of a number there. */
function placeOf(recipe: LoopRecipe): { readonly device: string; readonly itemBytes: number } {
  const { dtype, device } = settingsOf(recipe);
  return { device, itemBytes: dtype === 'f32' ? 4 : 2 };
}

function settingsOf(recipe: LoopRecipe): { readonly dtype: string; readonly device: string } {
  switch (recipe.kind) {
    case 'clip':
      return recipe.clip;
    case 'dinov2':
      return recipe.dinov2;
    case 'mae':
      return recipe.mae;
    case 'deit':
      return recipe.deit;
    case 'lm':
      return recipe.lm;
    case 'comm':
      return recipe.comm;
  }
}

function activationsOf(recipe: LoopRecipe): ActivationBytes {
  const common = placeOf(recipe);
  const { batchSize } = recipe.loop;
  switch (recipe.kind) {
    case 'clip': {
      const { encoder, text, data } = recipe.clip;
      const picture = { ...common, rows: batchSize, tokens: numTokens(encoder.vit) };
      const texts =
        data.kind === 'captions'
          ? { ...common, rows: batchSize, tokens: data.maxTokens }
          : { ...common, rows: batchSize * (1 + CAPTION.phrasesAPicture), tokens: CAPTION.tokens };
      return sumActivations([vitActivations(encoder.vit, picture), llamaActivations(text, texts)]);
    }
    case 'dinov2': {
      const { encoder, smallViews, smallSide, largeSide, numPrototypes, patchHead, hidden, placeWeight } =
        recipe.dinov2;
      const patches = numPatches({ ...encoder.vit, imageSize: largeSide });
      const views = (count: number, imageSize: number) => ({
        ...common,
        rows: count * batchSize,
        tokens: numTokens({ ...encoder.vit, imageSize }),
      });
      const [large, small] = [views(LARGE_VIEWS, largeSide), views(smallViews, smallSide)];
      const hiddenShare = (hidden.views * (hidden.patches[0] + hidden.patches[1])) / 2;
      // At most every patch has one at its place in the other view.
      const matchedShare = placeWeight > 0 ? 1 : 0;
      const scored = {
        cls: (large.rows + small.rows) * numPrototypes,
        patches: large.rows * patches * (hiddenShare + matchedShare) * (patchHead?.numPrototypes ?? numPrototypes),
      };
      const head = (scored.cls + scored.patches) * PROTOTYPE_BYTES;
      return sumActivations([
        vitActivations(encoder.vit, large),
        vitActivations(encoder.vit, small),
        { kept: head, recomputed: head },
      ]);
    }
    case 'mae': {
      const { encoder, decoder, maskShare } = recipe.mae;
      const patches = numPatches(encoder.vit);
      const seen = { ...common, rows: batchSize, tokens: Math.floor(patches * (1 - maskShare)) + 1 };
      return sumActivations([
        vitActivations(encoder.vit, seen),
        vitActivations({ ...encoder.vit, ...decoder }, { ...seen, tokens: numTokens(encoder.vit) }),
      ]);
    }
    case 'deit': {
      const { encoder } = recipe.deit;
      return vitActivations(encoder.vit, { ...common, rows: batchSize, tokens: numTokens(encoder.vit) });
    }
    case 'lm': {
      const { model, rowLength } = recipe.lm;
      const logits = batchSize * rowLength * model.vocabSize * LOGIT_BYTES;
      return sumActivations([
        llamaActivations(model, { ...common, rows: batchSize, tokens: rowLength }),
        { kept: logits, recomputed: logits },
      ]);
    }
    case 'comm':
      return commActivationsOf(recipe);
  }
}

/** What a training of COMM keeps. */
function commActivationsOf(recipe: CommRecipe): ActivationBytes {
  const { data, trains, recompute } = recipe.comm;
  const { batchSize } = recipe.loop;
  const model = shapeOfStart(recipe.comm);
  const common = {
    ...placeOf(recipe),
    pictures: batchSize,
    every: recompute ?? 1,
    trainsEncoder: (place: number) => trainsPart(trains, 'encoder', place),
  };
  if (data.kind === 'mixture') {
    // The longest rows that the data take, one picture each: what the run has to have room for.
    const { maxLength } = data;
    return commActivations(model, { ...common, rows: batchSize, tokens: maxLength, learned: maxLength, blocks: true });
  }
  const { questions, probes, pairRows } = data;
  const asked = probes.words + probes.edges;
  return commActivations(model, {
    ...common,
    rows: batchSize + pairRows,
    tokens: tokensPerImage(model) + ROW.frame + ROW.question * questions + ROW.probe * asked,
    // An edge has two digits.
    learned: ROW.learnedOfQuestion * questions + asked + probes.edges,
    blocks: questions > 0,
  });
}
