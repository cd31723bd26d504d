/**
 * The health of a model's branches on pictures alone: what is measured is the loss of the model's own description of each
 * picture, written with all branches, so that no labels are needed and any model that answers can be asked.
 */
import { noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { loadSpriteBank, renderScene } from '../data/world/index.js';
import { branchTrouble } from '../features/branch-words.js';
import { ImageCache } from '../generate/image-cache.js';
import { type RenderedPrompt, renderPrompt } from '../generate/prompt.js';
import type { CommSession } from '../generate/session.js';
import type { RgbImage } from '../images/decode.js';
import { preprocess } from '../images/preprocess.js';
import {
  type BranchHealth,
  type BranchVerdict,
  type HealthUnit,
  judgeBranch,
  type LevelHealth,
  measureBranches,
  measureLevels,
} from '../models/branch-health.js';
import type { Comm } from '../models/comm.js';
import { IGNORE_LABEL } from '../models/comm.js';
import { placesOf } from '../text/conversation.js';
import { type SceneStream, sceneAt } from './world-items.js';

// Shapes: T tokens of a question and its answer, N visual tokens of a picture.

/** A branch with what it is judged to be. */
export interface JudgedBranch extends BranchHealth {
  readonly verdict: BranchVerdict;
  /** The verdict as a sentence; null for a branch that is not told to take no part. */
  readonly trouble: string | null;
}

/** What `inspect --health` and `eval world` tell of a model's branches. */
export interface BranchReport {
  /** Pictures it was measured on. */
  readonly pictures: number;
  /** Mean loss of the model's own descriptions, in nats a token. */
  readonly loss: number;
  readonly branches: readonly JudgedBranch[];
  /** Each encoder's levels, in the order of the branches; only where they were asked for. */
  readonly levels?: readonly (readonly LevelHealth[])[];
}

/** What is asked of each picture, and how long its answer may be. */
const QUESTION = 'Describe the image.';
const MAX_NEW_TOKENS = 64;

/** Stream and size of the scenes that are looked at where no pictures are given; the stream of `eval world`. */
const SCENES = { split: 'test', style: 'known', seed: 900, size: 256 } as const;

/** Unseen scenes of the synthetic world: the first of a stream. */
export async function healthScenes(
  count: number,
  look: Partial<Omit<SceneStream, 'bank' | 'split'>> = {},
): Promise<RgbImage[]> {
  const bank = await loadSpriteBank();
  const stream: SceneStream = { bank, ...SCENES, ...look };
  return Array.from({ length: count }, (_, index) => renderScene(sceneAt(stream, index), bank));
}

/** Measures the branches, and with `levels` each level of each encoder. @throws CommError where fewer than two pictures are described. */
export async function reportBranches(
  session: CommSession,
  pictures: readonly RgbImage[],
  { levels = false, signal }: { readonly levels?: boolean; readonly signal?: AbortSignal } = {},
): Promise<BranchReport> {
  const { comm } = session;
  const images = new ImageCache(comm, 0);
  const units: HealthUnit[] = [];
  try {
    for (const picture of pictures) {
      const turn = { question: QUESTION, images: images.encode([picture]) };
      const unit = await describedUnit(
        session,
        picture,
        renderPrompt(comm, session.tokenizer, [turn], undefined),
        signal,
      );
      if (unit !== null) units.push(unit);
    }
  } finally {
    images.dispose();
  }
  if (units.length < 2) {
    throw new CommError(`The model describes ${units.length} of ${pictures.length} pictures, which is too few.`, {
      code: 'health/pictures',
      fix: 'Give at least two pictures that it has something to say about.',
    });
  }
  const { loss, numPictures, branches } = measureBranches(comm, units);
  return {
    pictures: numPictures,
    loss,
    branches: branches.map((branch) => ({
      ...branch,
      verdict: judgeBranch(branch, loss),
      trouble: branchTrouble(branch, loss),
    })),
    ...(levels ? { levels: measureLevels(comm, units) } : {}),
  };
}

/** A picture and the model's own words for it; null where it has none. */
async function describedUnit(
  session: CommSession,
  picture: RgbImage,
  { ids: asked, slots }: RenderedPrompt,
  signal?: AbortSignal,
): Promise<HealthUnit | null> {
  const { tokens } = await session.ask(
    { images: [picture], question: QUESTION, maxNewTokens: MAX_NEW_TOKENS },
    { signal },
  );
  if (tokens.length === 0) return null;
  const { comm } = session;
  const ids = [...asked, ...tokens];
  const labels = [...asked.map(() => IGNORE_LABEL), ...tokens];
  return {
    levels: () => comm.vision.encode(pixelsOf(comm, picture)),
    loss: (visual) =>
      scope(() =>
        noGrad(() => {
          const { device } = visual;
          const row = (values: readonly number[]): Tensor =>
            tensor(BigInt64Array.from(values, BigInt), { shape: [1, values.length], device });
          const places = tensor(BigInt64Array.from(placesOf(slots), BigInt), { device });
          return comm.loss({ ids: row(ids), labels: row(labels), visual, places }).loss.item();
        }),
      ),
  };
}

/** What each encoder looks at: float[1, 3, H, W] each. */
function pixelsOf(comm: Comm, picture: RgbImage): Tensor[] {
  const { dtype, device } = comm;
  return comm.config.vision.encoders.map(({ image }) => {
    const { pixels } = preprocess(picture, image);
    return tensor(pixels, { shape: [1, 3, image.size, image.size] }).to({ dtype, device });
  });
}
