/**
 * Reads each visual token as a word: its likeness to the embedding of a noun, in the singular and in the plural, and of a
 * colour, without the blocks of the language model. Background is what is like no noun (likeness below zero), so that a
 * question can tell by likeness alone that a thing is not there.
 */
import { cat, F, type Tensor, tensor, zeros } from '@commlm/torch';
import type { Comm } from '../../../../models/comm.js';
import { IGNORE_LABEL } from '../../../../models/comm.js';
import type { Losses } from '../../../loop/training-task.js';
import type { WorldBatch } from '../world-batches.js';
import type { AuxiliaryLoss } from './auxiliary.js';

// Shapes: M visual tokens of a batch, E width of the language model, K words.

export class PatchNames implements AuxiliaryLoss {
  readonly weight: number;
  readonly #model: Comm;

  constructor(model: Comm, weight: number) {
    this.#model = model;
    this.weight = weight;
  }

  loss(tokens_ME: Tensor, { patches, patchWords }: WorldBatch): Losses {
    const { device } = tokens_ME;
    const { embedTokens } = this.#model.languageModel.model;
    const likeness = (words: BigInt64Array): Tensor =>
      F.linear(tokens_ME, embedTokens.forward(tensor(words, { device }))).to('f32');
    const nouns = tensor(patches.nouns, { device });
    const background = zeros([nouns.shape[0]!, 1], { device });
    const singular = cat([likeness(patchWords.nouns), background], 1);
    const plural = cat([likeness(patchWords.plurals), background], 1);
    const known = nouns.ge(0).logicalAnd(nouns.lt(patchWords.nouns.length));
    const right = singular.argmax(1).eq(nouns).logicalAnd(known);
    const nameLoss = meanOverKnown(singular, nouns);
    const colorLoss = meanOverKnown(likeness(patchWords.colors), tensor(patches.colors, { device }));
    return {
      loss: nameLoss.add(meanOverKnown(plural, nouns)).add(colorLoss),
      metrics: {
        name_loss: nameLoss,
        color_loss: colorLoss,
        name_accuracy: right.to('f32').sum().div(known.to('f32').sum()),
      },
    };
  }
}

/** Cross-entropy of float[M, K] against i64[M]; a batch without any coloured shape counts 0. */
function meanOverKnown(logits_MK: Tensor, labels_M: Tensor): Tensor {
  const known = labels_M.ne(IGNORE_LABEL).to('f32').sum().clamp(1);
  return F.crossEntropy(logits_MK, labels_M, { reduction: 'sum' }).div(known);
}
