/** COMM at a size that trains on one GPU: the encoders and the fusion of the paper before a language model of 0.4 billion parameters. */
import type { AssemblyRecipe } from '../config/assembly.js';
import { recipe as comm7b } from './comm-7b.js';

export const recipe: AssemblyRecipe = {
  ...comm7b,
  about: 'COMM for one GPU, untrained: CLIP ViT-L/14 336 px + DINOv2-L + SmolLM2 360M',
  languageModel: 'HuggingFaceTB/SmolLM2-360M-Instruct',
};
