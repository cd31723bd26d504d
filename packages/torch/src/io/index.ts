/** Files of tensors. */
export { syncFolder } from '../files.js';
export { forgetPages } from './forget-pages.js';
export {
  type LazyTensor,
  openSafetensors,
  readSafetensors,
  SafetensorsFile,
  writeSafetensors,
} from './safetensors.js';
export { openTorchFile, TorchFile, TorchFileTensor } from './torch-file.js';
export type { TorchConstant } from './torch-globals.js';
