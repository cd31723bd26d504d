/** A COMM made of published parts: which encoders and language model, and the fusion that is put between them. */
import type { AlignConfig, MergeConfig, ProjectorConfig, VisionConfig } from './model.js';
import type { Levels } from './vision.js';

type WithoutWidth<Merge> = Merge extends unknown ? Omit<Merge, 'width'> : never;

/** One encoder of an assembly. */
export interface AssemblyEncoder {
  /** What the command line calls it: `--clip`, `--dinov2`. */
  readonly name: 'clip' | 'dinov2';
  /** Model folder or hub id. */
  readonly from: string;
  /** Side of the square picture in pixels; null for the encoder's own. Position tables are resized to it. */
  readonly imageSize: number | null;
  readonly levels: Levels;
  /** Merges that have a width take the encoder's own. */
  readonly merge: WithoutWidth<MergeConfig>;
  readonly align: AlignConfig;
}

/** A recipe that `commlm convert --recipe` follows. Merge, alignment and projector are fresh, everything else is as it was trained. */
export interface AssemblyRecipe {
  readonly kind: 'assembly';
  readonly about: string;
  readonly encoders: readonly AssemblyEncoder[];
  readonly fuse: VisionConfig['fuse'];
  readonly projector: ProjectorConfig;
  /** Model folder or hub id. */
  readonly languageModel: string;
  /** Dtype of the written weights. */
  readonly dtype: 'f32' | 'bf16' | 'f16';
  /** Seed of the fresh weights. */
  readonly seed: number;
}
