/** Weight files of an encoder folder: those of transformers and timm, and the names that open_clip gives them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TensorSource, within } from '../key-rules.js';
import { WeightFiles } from './weight-files.js';

/** Single files that hold an encoder where `model.safetensors` and its index are missing, the first found first. */
const OTHER_NAMES = ['open_clip_model.safetensors', 'pytorch_model.bin', 'open_clip_pytorch_model.bin'];

/** Training scripts save the model under one of these names, beside optimiser and epoch. */
const WRAPPERS = ['state_dict.', 'model.', 'module.'];

/** Opens the weights of a folder; tensors are mapped and stay valid after closing. Throws a CommError for missing or damaged files. */
export function openEncoderFiles(folder: string): TensorSource & Disposable {
  const other = OTHER_NAMES.find((name) => existsSync(join(folder, name)));
  const usual = ['model.safetensors', 'model.safetensors.index.json'].some((name) => existsSync(join(folder, name)));
  if (usual || other === undefined) return WeightFiles.open(folder);
  const files = WeightFiles.open(join(folder, other));
  const source = unwrapped({
    name: files.name,
    keys: files.keys,
    info: (key) => files.info(key),
    tensor: (key) => files.tensor(key),
  });
  return { ...source, [Symbol.dispose]: () => files.close() };
}

/** The state dict itself where all tensors lie under one of the usual wrappers. */
function unwrapped(source: TensorSource): TensorSource {
  const wrapper = WRAPPERS.find(
    (prefix) => source.keys.length > 0 && source.keys.every((key) => key.startsWith(prefix)),
  );
  return wrapper === undefined ? source : unwrapped(within(source, wrapper));
}
