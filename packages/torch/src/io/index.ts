/** Files of tensors. */
export { openSafetensors, readSafetensors, SafetensorsFile, writeSafetensors } from './safetensors.js';
