/** Pixels to patch tokens: one linear map of a patch (the original ViT, and every published encoder here), or a pyramid of convolutions. */
import { F, nn, type Tensor } from '@commlm/torch';
import type { StemConfig, ViTConfig } from '../../config/model.js';
import { patchRows } from './grid.js';

// Shapes: B images, C channels, N patches, P side of a patch, D width.

/** The patch embedding of the original ViT: a convolution of kernel = stride = patch, computed as one matrix product. */
export class PatchStem extends nn.Module {
  readonly proj: nn.Linear;
  readonly #patchSize: number;

  constructor(vit: ViTConfig, bias: boolean) {
    super();
    this.#patchSize = vit.patchSize;
    this.proj = new nn.Linear(vit.numChannels * vit.patchSize ** 2, vit.hiddenSize, { bias });
  }

  /** float[B, C, H, W] -> float[B, N, D]. */
  forward(pixels_BCHW: Tensor): Tensor {
    return this.proj.forward(patchRows(pixels_BCHW, this.#patchSize));
  }
}

/**
 * Patch embedding in steps (e.g. 4 x 4, 2 x 2, 2 x 2), LayerNorm and GELU between. The kernels do not overlap, so each
 * step is a matrix product; the pixels are sorted once, after which every step reads its window as a plain view.
 */
export class ConvStem extends nn.Module {
  readonly convs: nn.Linear[];
  readonly norms: nn.LayerNorm[];
  readonly #strides: readonly number[];

  constructor(vit: ViTConfig, { strides, channels }: Extract<StemConfig, { kind: 'conv' }>) {
    super();
    this.#strides = strides;
    const widths = [vit.numChannels, ...channels, vit.hiddenSize];
    this.convs = strides.map((stride, i) => new nn.Linear(widths[i]! * stride ** 2, widths[i + 1]!));
    this.norms = channels.map((width) => new nn.LayerNorm(width, { eps: vit.layerNormEps }));
  }

  /** float[B, C, H, W] -> float[B, N, D]. */
  forward(pixels_BCHW: Tensor): Tensor {
    let [x, ...widerWindows] = [this.#sortPixels(pixels_BCHW), ...this.#strides.slice(1)];
    x = this.convs[0]!.forward(x);
    for (const [i, stride] of widerWindows.entries()) {
      // The tokens of one window lie side by side: they become one row of the next step.
      const window = stride * stride;
      x = F.gelu(this.norms[i]!.forward(x));
      x = x.reshape(x.shape[0]!, x.shape[1]! / window, window * x.shape[2]!);
      x = this.convs[i + 1]!.forward(x);
    }
    return x;
  }

  /** Pixels by patch, then by window of each step from the last to the first: float[B, N * windows, C * s1 * s1]. */
  #sortPixels(pixels_BCHW: Tensor): Tensor {
    const [b, c, height, width] = pixels_BCHW.shape as [number, number, number, number];
    const steps = this.#strides.toReversed();
    const patch = steps.reduce((a, s) => a * s, 1);
    // Axes: 0 B, 1 C, then rows: patch, last step ... first step; then columns likewise.
    const split = pixels_BCHW.reshape(b, c, height / patch, ...steps, width / patch, ...steps);
    const [row, column] = [2, 3 + steps.length];
    const windows = steps.slice(0, -1).flatMap((_, i) => [row + 1 + i, column + 1 + i]);
    const inner = [1, row + steps.length, column + steps.length];
    return split.permute(0, row, column, ...windows, ...inner).reshape(b, -1, c * this.#strides[0]! ** 2);
  }
}

/** The stem that a config asks for. */
export const buildStem = (vit: ViTConfig): PatchStem | ConvStem =>
  vit.stem.kind === 'patch' ? new PatchStem(vit, vit.stem.bias) : new ConvStem(vit, vit.stem);
