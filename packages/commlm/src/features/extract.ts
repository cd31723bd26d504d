/**
 * Hidden states of a picture encoder, as the paper's study reads them: any levels, patches in rows of the grid.
 * Shapes: N patches (and special tokens where kept), D encoder width.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Device, type DType, keep, nn, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { missingDevice } from '../config/missing-device.js';
import { type EncoderConfig, type ImageConfig, resolveLevels } from '../config/model.js';
import { resolveFolders, resolveModelFolder } from '../hub/model-folder.js';
import { openPicture, type Picture, type PictureSettings } from '../images/picture.js';
import { preprocess } from '../images/preprocess.js';
import { buildEncoder } from '../models/encoders.js';
import type { ViT } from '../models/vit.js';
import { loadEncoder } from '../weights/encoder-folder.js';
import { readFolderJson } from '../weights/files/hf-config.js';
import { loadHfEncoder } from '../weights/hf-folder.js';
import { toOurs } from '../weights/key-rules.js';
import { describeModel, isWholeModel } from '../weights/open-model.js';

/** Which encoder, and how it runs. */
export interface FeatureOptions extends PictureSettings {
  /** Folder of an encoder or of a whole model; the embedded model by default. */
  readonly encoder?: string | undefined;
  /** Which encoder of a whole model: its type (`clip`) or its number from 0; the first by default. */
  readonly branch?: string | undefined;
  /** `hidden_states` indices: 0 the embeddings, i the output of block i, negative from the end; all blocks by default. */
  readonly levels?: readonly number[] | undefined;
  /** Keeps CLS, distillation and register tokens in front of the patches. */
  readonly keepSpecial?: boolean | undefined;
  /** Number format of the computation and of the result; f32 by default. */
  readonly dtype?: DType | undefined;
  readonly device?: Device | string | undefined;
  /** As in `loadModel`, for whole models whose own files lack an encoder. */
  readonly visionTower?: readonly string[] | undefined;
  readonly base?: string | undefined;
}

const OPTIONS: Checks<FeatureOptions> = {
  encoder: anything,
  branch: anything,
  levels: anything,
  keepSpecial: anything,
  dtype: anything,
  device: anything,
  visionTower: anything,
  base: anything,
  rawOrientation: anything,
};

/** Hidden states of one picture. The tensors are the caller's to dispose of. */
export interface Features {
  /** By `hidden_states` index, in the order asked: float[1, N, D]. */
  readonly levels: ReadonlyMap<number, Tensor>;
  /** Rows and columns of patches. */
  readonly grid: readonly [rows: number, columns: number];
  /** Tokens in front of the patches; 0 unless they were kept. */
  readonly numSpecial: number;
  readonly encoder: EncoderConfig['type'];
}

/** Runs an encoder over a picture prepared as the encoder's own folder says; throws CommError for unknown levels, folders or devices. */
export async function extractFeatures(picture: Picture, options: FeatureOptions = {}): Promise<Features> {
  checkOptions(options, OPTIONS, { what: 'The options of features' });
  const image = await openPicture(picture, options);
  const { type, image: prepare, vit } = openEncoder(resolveModelFolder(options.encoder), options);
  try {
    const { dtype = 'f32', device = 'cpu', keepSpecial = false } = options;
    vit
      .requiresGrad_(false)
      .eval()
      .to({ dtype, device: device as Device });
    const { numLayers, patchSize } = vit.config;
    const wanted = resolveLevels([...(options.levels ?? allBlocks(numLayers))], numLayers);
    const side = prepare.size;
    const states = scope(() =>
      noGrad(() => {
        const pixels = tensor(preprocess(image, prepare).pixels, { shape: [1, 3, side, side] });
        return keep(vit.forward(pixels.to({ dtype, device: device as Device }), wanted, { keepSpecial }));
      }),
    );
    return {
      levels: new Map(wanted.map((level, i) => [level, states[i]!])),
      grid: [Math.floor(side / patchSize), Math.floor(side / patchSize)],
      numSpecial: keepSpecial ? vit.numSpecial : 0,
      encoder: type,
    };
  } catch (error) {
    throw missingDevice(error) ?? error;
  } finally {
    vit.dispose();
  }
}

/** An encoder with its weights and the preparation that its folder asks for. */
interface OpenEncoder {
  readonly type: EncoderConfig['type'];
  readonly image: ImageConfig;
  readonly vit: ViT;
}

const allBlocks = (numLayers: number): number[] => Array.from({ length: numLayers }, (_, i) => i + 1);

/** An encoder folder of ours or of the transformers library, or one encoder of a whole model. */
function openEncoder(folder: string, options: FeatureOptions): OpenEncoder {
  const { branch } = options;
  const json = existsSync(join(folder, 'config.json')) ? readFolderJson(folder, 'config.json') : {};
  const { model_type: type } = json;
  if (isWholeModel(json)) return openBranch(folder, branch, options);
  if (branch !== undefined) {
    throw new CommError(`${folder} holds one encoder, so it has no branch "${branch}".`, {
      code: 'features/branch',
      fix: 'Leave --branch out.',
      exitCode: 2,
    });
  }
  if (type !== 'comm_encoder') return loadHfEncoder(folder);
  const { config, weights } = loadEncoder(folder);
  return { ...config, vit: fill(config, weights) };
}

/** One encoder of a whole model; the other weights are not read. */
function openBranch(folder: string, branch: string | undefined, options: FeatureOptions): OpenEncoder {
  const whole = describeModel(folder, resolveFolders(options));
  const { encoders } = whole.config.vision;
  const index = branch === undefined ? 0 : encoders.findIndex(({ type }, i) => type === branch || String(i) === branch);
  const config = encoders[index];
  if (config === undefined) {
    throw new CommError(`The model has no encoder "${branch}".`, {
      code: 'features/branch',
      fix: `Its encoders are ${encoders.map(({ type }, i) => `${type} (${i})`).join(', ')}.`,
      exitCode: 2,
    });
  }
  const prefix = `vision.encoders.${index}.vit.`;
  const vit = nn.onMeta(() => buildEncoder(config));
  const source = whole.openWeights();
  try {
    const rules = whole.rules
      .filter(({ ours }) => ours.startsWith(prefix))
      .map((rule) => ({ ...rule, ours: rule.ours.slice(prefix.length) }));
    scope(() =>
      vit.loadStateDict(
        toOurs(source, rules, vit.stateDict(), (key) => whole.leftovers(key) ?? 'not run'),
        { assign: true },
      ),
    );
    return { ...config, vit };
  } finally {
    source.close();
  }
}

function fill(config: Pick<EncoderConfig, 'type' | 'vit'>, weights: Map<string, Tensor>): ViT {
  const vit = nn.onMeta(() => buildEncoder(config));
  vit.loadStateDict(weights, { assign: true });
  return vit;
}
