/** Layers with parameters, and the module that they are built on. */
export { Identity, Sequential } from './containers.js';
export { Conv2d } from './conv.js';
export { DropPath } from './drop-path.js';
export { Dropout } from './dropout.js';
export { Embedding } from './embedding.js';
export * as init from './init.js';
export { Int8Linear, quantizeRows } from './int8-linear.js';
export { LayerScale } from './layer-scale.js';
export { Linear } from './linear.js';
export { LoraLinear, type LoraOptions } from './lora-linear.js';
export { Mlp, type MlpOptions } from './mlp.js';
export { type Layer, Module, type ModuleTarget } from './module.js';
export { BatchNorm2d, type BatchNorm2dOptions, LayerNorm, type LayerNormOptions, RmsNorm } from './norm.js';
export { Buffer, Parameter } from './parameter.js';
export { onMeta, type Placement } from './placement.js';
export type { MisshapedKey, StateReport } from './state-report.js';
