/**
 * Pre-training of a tower as a masked autoencoder (He et al., 2111.06377): the encoder sees a quarter of the patches, a light
 * decoder tells the pixels of the others.
 */
import { cat, type nn, noGrad, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { numPatches, numTokens, parseConfig, type ViTConfig } from '../../config/model.js';
import { MaeConfig } from '../../config/pretrain.js';
import type { LoopConfig } from '../../config/train.js';
import { buildEncoder } from '../../models/encoders.js';
import { MaeDecoder, sincosPositions, xavierLinears } from '../../models/mae-decoder.js';
import { patchRows } from '../../models/vit/grid.js';
import type { ViT } from '../../models/vit.js';
import { saveEncoder } from '../../weights/encoder-folder.js';
import { CheckedBatches, threadsOf } from '../loop/checked-batches.js';
import { place } from '../loop/placement.js';
import type { BatchFacts, BatchSource, Losses, TrainingTask } from '../loop/training-task.js';
import { normalisePictures } from '../pictures/pixels.js';
import type { MaeBatch, MaeBatchOptions } from './mae-batches.js';

// Shapes: B pictures, N patches, K of them visible, H hidden, D width, P pixels of a patch times channels.

/** What is predicted: the pixels of each patch, with `norm` centred and scaled by the patch's own mean and variance. float[B, C, S, S] -> f32[B, N, P]. */
export function pixelTargets(pixels_BCHW: Tensor, patchSize: number, norm: boolean): Tensor {
  return scope(() => {
    const target_BNP = patchRows(pixels_BCHW.to('f32'), patchSize);
    if (!norm) return target_BNP;
    const variance = target_BNP.var(-1, true);
    return target_BNP.sub(target_BNP.mean(-1, true)).div(variance.add(1e-6).sqrt());
  });
}

/** Mean squared error over the hidden patches: predictions and targets float[B, N, P], places i64[B, H] -> scalar. */
export function hiddenError(predicted_BNP: Tensor, target_BNP: Tensor, hidden_BH: Tensor): Tensor {
  return scope(() => {
    const [b, h] = hidden_BH.shape as [number, number];
    const places = hidden_BH.unsqueeze(2).expand(b, h, target_BNP.shape[2]!);
    return predicted_BNP.gather(1, places).to('f32').sub(target_BNP.gather(1, places)).pow(2).mean();
  });
}

/** Patches that the encoder sees. */
export const numVisible = (vit: ViTConfig, maskShare: number): number => Math.floor(numPatches(vit) * (1 - maskShare));

/** Masked autoencoding as a task of the training loop. */
export class MaeTask implements TrainingTask<MaeBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly #config: MaeConfig;
  readonly #batchSize: number;
  readonly #log: (line: string) => void;
  readonly #encoder: ViT;
  readonly #decoder: MaeDecoder;

  constructor(config: MaeConfig, { batchSize }: Pick<LoopConfig, 'batchSize'>, log: (line: string) => void = () => {}) {
    this.#config = parseConfig(MaeConfig, config, 'The recipe');
    this.#batchSize = batchSize;
    this.#log = log;
    const { encoder, decoder, maskShare } = config;
    checkEncoder(encoder.vit);
    if (numVisible(encoder.vit, maskShare) < 1) {
      throw new CommError(`maskShare ${maskShare} leaves no patch of ${numPatches(encoder.vit)} to see.`, {
        code: 'train/mask-share',
        fix: 'Lower mae.maskShare.',
        exitCode: 2,
      });
    }
    this.#encoder = buildEncoder(encoder);
    this.#decoder = new MaeDecoder(encoder.vit, decoder);
    xavierLinears(this.#encoder);
    xavierLinears(this.#decoder);
    fixPositions(this.#encoder);
    place(this.#encoder, config);
    place(this.#decoder, config);
    this.parts = new Map<string, nn.Module>([
      ['encoder', this.#encoder],
      ['decoder', this.#decoder],
    ]);
  }

  openBatches(start: number): BatchSource<MaeBatch> {
    const { encoder, cutArea, maskShare, data } = this.#config;
    const options: MaeBatchOptions = {
      ...{ batchSize: this.#batchSize, cutArea, data, side: encoder.vit.imageSize },
      ...{ patches: numPatches(encoder.vit), numVisible: numVisible(encoder.vit, maskShare) },
    };
    const checked = { start, ...threadsOf(data), log: this.#log };
    return new CheckedBatches<MaeBatch>(new URL('./mae-batches.js', import.meta.url), options, checked);
  }

  /** Tokens of the encoder, which sees the patches that are not hidden. */
  describe({ samples, hidden }: MaeBatch): BatchFacts {
    return { samples, tokens: samples.length * numTokens(this.#config.encoder.vit) - hidden.length };
  }

  loss(batch: MaeBatch): Losses {
    const { encoder, normPixels, dtype, device } = this.#config;
    const batchSize = this.#batchSize;
    const { imageSize, patchSize } = encoder.vit;
    const pixels = normalisePictures(batch.pictures, batchSize, imageSize, encoder.image, 'f32', device);
    const places = (flat: BigInt64Array): Tensor =>
      tensor(flat, { shape: [batchSize, flat.length / batchSize] }).to(device);
    const visible_BK = places(batch.visible);
    const { cls, patches } = this.#encoder.forwardTokens(pixels.to(dtype), { visible: visible_BK });
    const predicted = this.#decoder.forward(cls as Tensor, patches, visible_BK);
    const loss = hiddenError(predicted, pixelTargets(pixels, patchSize, normPixels), places(batch.hidden));
    return { loss, metrics: {} };
  }

  /** Writes the encoder; the decoder has done its work. */
  export(folder: string): void {
    scope(() => {
      const weights = new Map([...this.#encoder.stateDict()].map(([key, t]) => [key, t.detach().to('f32')] as const));
      saveEncoder(folder, this.#config.encoder, weights);
    });
  }
}

function checkEncoder({ clsToken, numRegisters, posEmbed, rope, hiddenSize, imageSize, patchSize }: ViTConfig): void {
  const grid = imageSize / patchSize;
  const fits = posEmbed.kind === 'learned' && posEmbed.grid.every((side) => side === grid) && rope === undefined;
  if (clsToken && numRegisters === 0 && fits && hiddenSize % 4 === 0) return;
  throw new CommError(
    'A masked autoencoder has a CLS token, no registers, and a table of positions for its own grid of patches.',
    {
      code: 'model/encoder',
      fix: 'Change mae.encoder.vit, or begin with that of tiny-mae or mae-vit-l16.',
      exitCode: 2,
    },
  );
}

/** Sine and cosine positions that do not learn; CLS stands at none. */
function fixPositions({ posEmbed, config }: ViT): void {
  const grid = config.imageSize / config.patchSize;
  scope(() =>
    noGrad(() => {
      const patches = sincosPositions(config.hiddenSize, grid);
      const special = posEmbed!.shape[1]! - grid * grid;
      posEmbed!.copy_(cat([zeros([1, special, config.hiddenSize]), patches], 1));
    }),
  );
  posEmbed!.requiresGrad = false;
}
