/** How a model is loaded: what the library, the commands and the identity of a model have in common. */
import type { Device } from '@commlm/torch';
import type { WantedFormat } from '../weights/formats.js';

/** How a model is loaded. */
export interface LoadOptions {
  /**
   * Number format while running; by default f32 on a CPU for models of up to 2 billion parameters, and the stored one for
   * larger ones and on a GPU. `int8` keeps the large matrices in 8 bits.
   */
  readonly dtype?: WantedFormat | undefined;
  /** Default `cpu`. */
  readonly device?: Device | string | undefined;
  /** Bytes of encoded pictures that are kept for later questions; default 256 MiB. */
  readonly imageCacheBytes?: number | undefined;
  /** Told after each weight while the model is opened. */
  readonly onWeight?: ((done: number, total: number) => void) | undefined;
  /** Folders or hub ids of the picture encoders, for models whose own files lack them (the original LLaVA, Prismatic). */
  readonly visionTower?: readonly string[] | undefined;
  /** Folder or hub id of the language model that a model's files build on (Shikra's delta, Prismatic's tokenizer). */
  readonly base?: string | undefined;
  /** Folder or hub id of a LoRA adapter that is merged into the weights. */
  readonly lora?: string | undefined;
  /** Runs a model with parts that its config marks as untrained, which is refused otherwise. */
  readonly allowUntrained?: boolean | undefined;
  /** Called with a line for what changes while loading, such as the number format. */
  readonly onNote?: ((line: string) => void) | undefined;
}
