/** The accelerator: is there one, wait for it, what does it hold. */
import { native } from './native.js';

/** Number of CUDA devices that this libtorch can use. */
export function deviceCount(): number {
  return native().versionInfo().cudaDevices;
}

/** Whether a CUDA device can be used. */
export function isAvailable(): boolean {
  return deviceCount() > 0;
}

/** Wait until all work queued on the device is done. */
export function synchronize(device = 0): void {
  native().synchronize(device);
}

/** Give memory that the caching allocator holds but no tensor uses back to the device. */
export function emptyCache(): void {
  native().emptyCache();
}

/** Bytes in use, their peak, and bytes reserved by the allocator. */
export function memory(device = 0): { allocated: number; peak: number; reserved: number } {
  return native().deviceMemory(device);
}
