/** GPUs that a plan is held against: memory (1e9 bytes) and dense bf16 operations a second (1e12), as NVIDIA's data sheets have them. */
export interface Gpu {
  readonly name: string;
  readonly gigabytes: number;
  readonly teraflops: number;
}

export const GPUS: readonly Gpu[] = [
  { name: 'RTX 4090', gigabytes: 24, teraflops: 165 },
  { name: 'L40S', gigabytes: 48, teraflops: 362 },
  { name: 'A100 80 GB', gigabytes: 80, teraflops: 312 },
  { name: 'H100', gigabytes: 80, teraflops: 989 },
  { name: 'H200', gigabytes: 141, teraflops: 989 },
  { name: 'B200', gigabytes: 180, teraflops: 2250 },
];

/** Share of a GPU's memory that a plan may fill; the driver and gaps between tensors take the rest. */
const FILLED = 0.95;

/** The GPUs that have room for so many bytes, smallest first. */
export const gpusFor = (bytes: number): Gpu[] => GPUS.filter(({ gigabytes }) => bytes <= FILLED * gigabytes * 1e9);

/** Share of its operations that training gets out of a GPU; 0.3 to 0.5 are usual. */
export const UTILISATION = 0.4;
