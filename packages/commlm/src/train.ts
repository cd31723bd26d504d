/**
 * `commlm/train`: recipes, what a run of one would cost, and the run itself.
 *
 * ```ts
 * import { applySettings, loadRecipe, runRecipe } from 'commlm/train';
 *
 * const recipe = applySettings(await loadRecipe('tiny-clip'), ['loop.steps=500']);
 * await runRecipe(recipe, { out: 'runs/out/short', recipe, resume: false, log: console.log });
 * ```
 */

export type { Recipe } from './config/recipe.js';
export type { LoopConfig } from './config/train.js';
export { RECIPES } from './recipes/index.js';
export type { MetricsLine } from './report/curve.js';
export { type MeasureOptions, measureTowers, type Tower, untrainedTower } from './train/gate/measure.js';
export {
  exportCheckpoint,
  runTraining,
  type TrainingOptions,
  type TrainingResult,
} from './train/loop/loop.js';
export { readMetrics } from './train/loop/run-log.js';
export type { RecipeChange } from './train/loop/run-state.js';
export type { BatchFacts, BatchSource, Losses, TrainingTask } from './train/loop/training-task.js';
export { type MemoryPlan, planRun, type RunPlan } from './train/plan.js';
export { applySettings, changeRecipe, listRecipes, loadRecipe, recipeOfRun } from './train/recipe.js';
export { exportRecipe, type RunOptions, runRecipe } from './train/run.js';
