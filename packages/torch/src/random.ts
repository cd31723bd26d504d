/** Random numbers: the default generators, own generators, and states that a run can be resumed from. */
import type { Device } from './dtype.js';
import { newHandle } from './handle.js';
import { native } from './native.js';
import { fail } from './ops.js';
import { scope, track } from './scope.js';
import type { Tensor } from './tensor.js';

/** A stream of random numbers of its own; pass it to `multinomial`, `randn` and other operators that take one. */
export class Generator {
  /** Number in the addon's table. @internal */
  readonly generator: number;

  /** @param seed null takes the device's default generator itself. */
  constructor(seed: number | bigint | null, device: Device = 'cpu') {
    this.generator = native().createGenerator(seed, device);
    generators.register(this, this.generator);
  }

  /** The whole state as a u8 tensor. */
  getState(): Tensor {
    return track(newHandle(native().generatorState(this.generator))) as Tensor;
  }

  /** Continue exactly where `getState` was taken. */
  setState(state: Tensor): void {
    // libtorch reads the bytes as a struct: they need its alignment, which a view into a mapped file may not have.
    scope(() => {
      try {
        native().setGeneratorState(this.generator, state.clone().id);
      } catch (error) {
        fail(error, 'setState');
      }
    });
  }
}

const generators = new FinalizationRegistry<number>((index) => native().releaseGenerator(index));
const defaults = new Map<Device, Generator>();

function defaultGenerator(device: Device): Generator {
  let found = defaults.get(device);
  if (found === undefined) {
    found = new Generator(null, device);
    defaults.set(device, found);
  }
  return found;
}

/** A new generator. Equal seeds give equal numbers on the same device and libtorch. */
export function generator(seed: number | bigint, device: Device = 'cpu'): Generator {
  return new Generator(seed, device);
}

/** Seed the default generators of all devices. */
export function manualSeed(seed: number | bigint): void {
  native().manualSeed(seed);
}

/** State of a device's default generator, for exact resume. */
export function rngState(device: Device = 'cpu'): Tensor {
  return defaultGenerator(device).getState();
}

/** Put the default generator back where `rngState` was taken. */
export function setRngState(state: Tensor, device: Device = 'cpu'): void {
  defaultGenerator(device).setState(state);
}
