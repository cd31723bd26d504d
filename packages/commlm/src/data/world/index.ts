/** The synthetic world: scenes, pictures, questions and answers, all by seed. */

export * from './augment.js';
export * from './background.js';
export * from './language.js';
export * from './pairs.js';
export * from './patch-labels.js';
export * from './placement.js';
export * from './questions.js';
export * from './random.js';
export * from './redraw.js';
export * from './render.js';
export * from './scene.js';
export * from './sprites.js';
export * from './stream.js';
export * from './templates.js';
export * from './vocabulary.js';
