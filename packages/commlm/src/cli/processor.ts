/** The processor as far as speed depends on it: its model, and the instruction sets that decide which kernels run. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, platform } from 'node:os';

/** Instruction sets that libtorch and the libraries below it have kernels for, as the Linux kernel names them. */
const INSTRUCTION_SETS = [
  ...['avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_tile', 'amx_bf16', 'amx_int8'],
  ...['asimd', 'asimddp', 'bf16', 'i8mm', 'sve'],
];

/** Variables that forbid some of them: libtorch's, oneDNN's and MKL's. */
const SWITCHES = [
  'ATEN_CPU_CAPABILITY',
  'ONEDNN_MAX_CPU_ISA',
  'DNNL_MAX_CPU_ISA',
  'MKL_CBWR',
  'MKL_ENABLE_INSTRUCTIONS',
];

/** What `doctor` and `bench` say about the processor. */
export interface Processor {
  readonly model: string;
  readonly cores: number;
  /** Empty where the system does not tell. */
  readonly features: readonly string[];
  /** Variables that are set and forbid instruction sets, as `NAME=value`. */
  readonly switches: readonly string[];
}

/** Reads what the system tells about its processor. */
export function readProcessor(): Processor {
  return {
    model: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    features: listFeatures(),
    switches: SWITCHES.flatMap((name) => (process.env[name] ? [`${name}=${process.env[name]}`] : [])),
  };
}

function listFeatures(): string[] {
  if (platform() !== 'linux' || !existsSync('/proc/cpuinfo')) return [];
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' ') ?? [];
  return INSTRUCTION_SETS.filter((feature) => flags.includes(feature));
}
