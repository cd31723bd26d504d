/** A running average of the trained weights in f32, as an option of the loop. */
import { keep, noGrad, optim, scope, type Tensor } from '@commlm/torch';

/** `average = decay * average + (1 - decay) * weight` after each step; starts at the weights. */
export class WeightAverage {
  readonly #weights: ReadonlyMap<string, Tensor>;
  readonly #decay: number;
  readonly #averages: Map<string, Tensor>;

  /** @param weights trained weights by name. */
  constructor(weights: ReadonlyMap<string, Tensor>, decay: number) {
    this.#weights = weights;
    this.#decay = decay;
    this.#averages = new Map(
      scope(() => [...weights].map(([key, weight]) => [key, keep(weight.detach().to('f32').clone())] as const)),
    );
  }

  /** The averages themselves by name. */
  get state(): ReadonlyMap<string, Tensor> {
    return this.#averages;
  }

  /** Moves the averages towards the weights; where the optimiser has an f32 master of one, towards that. */
  update(optimizer: ReadonlyMap<string, Tensor>): void {
    scope(() => {
      const sources = [...this.#weights].map(
        ([key, weight]) => optimizer.get(`${key}.master`) ?? weight.detach().to('f32'),
      );
      optim.emaUpdate([...this.#averages.values()], sources, this.#decay);
    });
  }

  /** Runs `use` with the averages in the place of the weights. */
  async during<T>(use: () => T | Promise<T>): Promise<T> {
    const own = new Map(
      scope(() => [...this.#weights].map(([key, weight]) => [key, keep(weight.detach().clone())] as const)),
    );
    this.#put(this.#averages);
    try {
      return await use();
    } finally {
      this.#put(own);
      for (const weight of own.values()) weight.dispose();
    }
  }

  /** Frees the averages. */
  dispose(): void {
    for (const average of this.#averages.values()) average.dispose();
  }

  #put(values: ReadonlyMap<string, Tensor>): void {
    noGrad(() =>
      scope(() => {
        for (const [key, weight] of this.#weights) weight.detach().copy_(values.get(key) as Tensor);
      }),
    );
  }
}
