/** From a model's folder to a session: weights, tokenizer, starting values, and what is said about them. */
import type { Device } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { missingDevice } from '../config/missing-device.js';
import { partName } from '../config/parts.js';
import { modelName, resolveFolders, resolveModelFolder } from '../hub/model-folder.js';
import { Tokenizer } from '../text/tokenizer.js';
import { readCommConfig } from '../weights/comm-folder.js';
import { readGenerationConfig } from '../weights/files/generation-config.js';
import { readFolderJson } from '../weights/files/hf-config.js';
import { openModel } from '../weights/open-model.js';
import type { LoadedComm } from '../weights/whole-model.js';
import { checkLoading } from './check-request.js';
import type { LoadOptions } from './load-options.js';
import { modelIdentity } from './model-identity.js';
import { type GenerationDefaults, ModelRuntime } from './runtime.js';
import { CommSession } from './session.js';

/** Longest answer in tokens where neither the request nor the model's folder says. */
const DEFAULT_MAX_NEW_TOKENS = 512;

/**
 * Loads a model folder (the embedded models/comm-tiny by default). The session is `using`-able; one session answers any
 * number of questions, one after the other or at the same time. Throws CommError for what is no model, and for a device that is
 * not there.
 */
export async function loadModel(model?: string, options: LoadOptions = {}): Promise<CommSession> {
  checkLoading(model, options);
  const started = performance.now();
  const folder = resolveModelFolder(model);
  const device = (options.device ?? 'cpu') as Device;
  if (options.allowUntrained !== true) refuseUntrained(folder);
  const { dtype = 'auto', onWeight, imageCacheBytes } = options;
  const opened = openOn({ ...resolveFolders(options), device, dtype, onWeight }, folder);
  try {
    const tokenizer = await Tokenizer.load(opened.tokenizer);
    const name = modelName(folder);
    noteDtype(name, opened, options);
    const defaults = readDefaults(folder, tokenizer);
    const loadMs = performance.now() - started;
    const runtime = new ModelRuntime({ name, comm: opened.model, tokenizer, defaults, loadMs, imageCacheBytes });
    return new CommSession(runtime, () => modelIdentity(model, options));
  } catch (error) {
    opened.model.dispose();
    throw error;
  }
}

/** The model of a folder. @throws CommError `device/missing` for a device that is not there */
function openOn(options: Parameters<typeof openModel>[1], folder: string): ReturnType<typeof openModel> {
  try {
    return openModel(folder, options);
  } catch (error) {
    throw missingDevice(error) ?? error;
  }
}

/** Before any weight is read, since a large model takes a while. */
function refuseUntrained(folder: string): void {
  if (readFolderJson(folder, 'config.json')['model_type'] !== 'comm') return;
  const { untrained = [] } = readCommConfig(folder);
  if (untrained.length === 0) return;
  const name = modelName(folder);
  throw new CommError(
    `${name} cannot answer yet: ${untrained.map(partName).join(', ')} ${untrained.length === 1 ? 'is' : 'are'} untrained.`,
    {
      code: 'model/untrained',
      fix: 'Train it first (commlm train), or add --allow-untrained to run it as it is.',
    },
  );
}

/** So many weights (1 GiB in f32) are worth a word when they run in another format than they are stored in. */
const NOTED_WEIGHTS = 2 ** 28;

/** Says when the weights run in another format than they are stored in: where it was asked for, or costs memory. */
function noteDtype(name: string, { model, storedDtype }: LoadedComm, { dtype: asked, onNote }: LoadOptions): void {
  const { dtype } = model;
  if (dtype === storedDtype) return;
  const numWeights = model.parameters().reduce((sum, { numel }) => sum + numel, 0);
  if (asked === undefined && numWeights < NOTED_WEIGHTS) return;
  onNote?.(`${name}: weights are stored as ${storedDtype} and run as ${dtype}`);
}

function readDefaults(folder: string, tokenizer: Tokenizer): GenerationDefaults {
  const { eosIds, maxNewTokens = DEFAULT_MAX_NEW_TOKENS } = readGenerationConfig(folder);
  return { maxNewTokens, stopIds: new Set([...eosIds, ...(tokenizer.eosId === undefined ? [] : [tokenizer.eosId])]) };
}
