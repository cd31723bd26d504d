/** The losses of a recipe that read visual tokens. */
import type { LossConfig } from '../../../../config/comm-train.js';
import type { Comm } from '../../../../models/comm.js';
import type { AuxiliaryLoss } from './auxiliary.js';
import { PatchNames } from './patch-names.js';
import { PatchPlaces } from './patch-places.js';

/** In the order of the recipe. */
export function openLosses(configs: readonly LossConfig[], model: Comm): AuxiliaryLoss[] {
  return configs.flatMap((config) => {
    const loss = openLoss(config, model);
    return loss === null ? [] : [loss];
  });
}

/** Null for one that is a part of the loss of each token, see `Comm.loss`. */
function openLoss({ kind, weight }: LossConfig, model: Comm): AuxiliaryLoss | null {
  switch (kind) {
    case 'patch-names':
      return new PatchNames(model, weight);
    case 'patch-places':
      return new PatchPlaces(model, weight);
    case 'numbers':
      return null;
  }
}
