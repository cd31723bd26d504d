/** A device that is not there: what libtorch says of it in its own words, as one sentence with a way out. */
import { CommError } from './errors.js';

/** What libtorch says where a device was named that is not there. */
const NO_DEVICE =
  /not linked with support for (\w+) devices|no (NVIDIA) driver|No (CUDA) GPUs are available|(CUDA) driver initialization failed|(CUDA) error: invalid device ordinal/i;

/** The error `device/missing` in place of libtorch's, where that says that this machine, or its libtorch, lacks a device. */
export function missingDevice(error: unknown): CommError | undefined {
  const found = error instanceof Error && error.name === 'TorchError' ? NO_DEVICE.exec(error.message) : null;
  if (found === null) return undefined;
  const name = found.slice(1).find((each) => each !== undefined)!;
  const device = /nvidia|cuda/i.test(name) ? 'CUDA' : name.toUpperCase();
  const message =
    found[1] === undefined ? `There is no ${device} device here.` : `This libtorch was built without ${device}.`;
  return new CommError(message, {
    code: 'device/missing',
    fix: 'Run on the processor (--device cpu; in a recipe device=cpu; in the library {device: \'cpu\'}); "commlm doctor" lists the devices that are there.',
    cause: error,
  });
}
