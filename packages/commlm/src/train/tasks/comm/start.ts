/** What a training begins with: the model of a folder, or a fresh one around finished encoders. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { scope, type Tensor } from '@commlm/torch';
import type { CommTrainConfig, FreshModel } from '../../../config/comm-train.js';
import { CommError } from '../../../config/errors.js';
import type { TrainingFormat } from '../../../config/formats.js';
import type { CommConfig } from '../../../config/model.js';
import { ASSEMBLED } from '../../../config/presets.js';
import { resolveModelFolder } from '../../../hub/model-folder.js';
import { Comm } from '../../../models/comm.js';
import { isOwnEncoder, loadEncoder } from '../../../weights/encoder-folder.js';
import { loadHfEncoder } from '../../../weights/hf-folder.js';
import { describeModel, openModel } from '../../../weights/open-model.js';

/** A model and the folder of its tokenizer. */
export interface Start<Model> {
  readonly model: Model;
  readonly tokenizer: string;
}

type StartConfig = Pick<CommTrainConfig, 'model' | 'assembled' | 'dtype' | 'device'>;

/** What is computed in. */
export const computeDtype = ({ dtype }: Pick<CommTrainConfig, 'dtype'>): TrainingFormat =>
  dtype === 'f32' ? 'f32' : 'bf16';

/** Opens or builds the model; what it holds beside the trained parts stays mapped. */
export function openStart(config: StartConfig): Start<Comm> {
  const { model, dtype, device } = config;
  if (typeof model !== 'string') {
    return { model: freshModel(model).to(computeDtype(config)).to({ device }), tokenizer: model.tokenizer };
  }
  return openModel(resolveModelFolder(model), { dtype, device });
}

/** Config and tokenizer without a weight. */
export function describeStart({ model }: Pick<StartConfig, 'model'>): Start<CommConfig> {
  if (typeof model !== 'string') return { model: model.config, tokenizer: model.tokenizer };
  const { config, tokenizer } = describeModel(resolveModelFolder(model));
  return { model: config, tokenizer };
}

/** The shape of the model: as its folder says, or as its parts will make it. */
export function shapeOfStart({ model, assembled }: Pick<StartConfig, 'model' | 'assembled'>): CommConfig {
  if (typeof model === 'string' && assembled !== undefined && !existsSync(model)) return ASSEMBLED[assembled]();
  return describeStart({ model }).model;
}

function freshModel({ config, encoders }: FreshModel): Comm {
  const model = new Comm(config);
  const { length } = model.vision.encoders;
  if (encoders.length !== length) {
    throw new CommError(`The recipe names ${encoders.length} encoders, the model has ${length}.`, {
      code: 'train/encoders',
      fix: 'Name one folder for each encoder.',
    });
  }
  for (const [i, folder] of encoders.entries()) {
    scope(() => model.vision.encoders[i]!.vit.loadStateDict(towerWeights(folder)));
  }
  return model;
}

/** Weights of a finished tower: our own encoder folder, or one of another library. */
function towerWeights(folder: string): ReadonlyMap<string, Tensor> {
  const own = !existsSync(join(folder, 'config.json')) || isOwnEncoder(folder);
  return own ? loadEncoder(folder).weights : loadHfEncoder(folder).vit.stateDict();
}
