/** The kernel's own count of the resident memory of this process. */
import { readFileSync } from 'node:fs';

/** Peak so far in KiB; null where there is no /proc. */
export function peakKiB(): number | null {
  if (process.platform !== 'linux') return null;
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}
