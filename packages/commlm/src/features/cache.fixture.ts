/** A small encoder and pictures for tests of the feature cache, and what a process of its own runs to fill one. */
import { cat, manualSeed, noGrad, randn, scope, type Tensor } from '@commlm/torch';
import { smallComm, smallViT } from '../models/sample-configs.fixture.js';
import { ViT } from '../models/vit.js';
import { type CachedPictures, FeatureCache } from './cache.js';
import { type CachedEncoder, pictureKeys } from './encoder-key.js';

/** 16 tokens of width 24 at four levels. */
export function sampleEncoder(dtype: 'f32' | 'bf16' = 'f32'): CachedEncoder {
  manualSeed(3);
  const vit = new ViT(smallViT());
  vit.to(dtype).requiresGrad_(false).eval();
  return { type: 'clip', vit, image: smallComm().vision.encoders[0]!.image };
}

/** f32[P, 3, 32, 32], each picture drawn from its number alone. */
export function pixelsOf(numbers: readonly number[]): Tensor[] {
  return numbers.map((number) => {
    manualSeed(1000 + number);
    return randn([1, 3, 32, 32]);
  });
}

/** Pictures as the cache takes them; `asked` collects the numbers of those whose pixels it wanted. */
export function samplePictures(numbers: readonly number[], asked: number[] = []): CachedPictures {
  const each = pixelsOf(numbers);
  return {
    keys: each.map((pixels) => pictureKeys(pixels.toArray() as Float32Array, 1)[0]!),
    pixels: (places) => {
      asked.push(...places.map((place) => numbers[place]!));
      return cat(places.map((place) => each[place]!));
    },
  };
}

/** What the encoder gives without a cache. */
export const wantedOf = ({ vit }: CachedEncoder, numbers: readonly number[], levels: readonly number[]): Tensor[] =>
  noGrad(() => vit.forward(cat(pixelsOf(numbers)), levels));

/** Encodes pictures one at a time, each a shard, and says each; a process of its own calls it. */
export function fill(folder: string, first: number, last: number): void {
  using cache = FeatureCache.open(sampleEncoder(), { folder, maxBytes: 1e8, shardBytes: 1 });
  for (let number = first; number <= last; number++) {
    scope(() => void cache.encode(samplePictures([number]), [1, 2, 3]));
    process.stdout.write(`${number}\n`);
  }
}
