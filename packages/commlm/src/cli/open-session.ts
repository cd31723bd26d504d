/** Loading the model of a command, with progress on stderr where it takes long (converting a large model). */
import type { CommSession } from '../generate/session.js';
import type { ModelOptions } from './options.js';
import { note } from './output.js';
import { Progress } from './progress.js';
import { printable } from './terminal-text.js';

/** A load that is shorter than this shows nothing. */
const QUIET_MS = 2000;

/** Loads the model that the options name; libtorch comes with it. */
export async function openSession({
  model,
  dtype,
  device,
  visionTower,
  base,
  lora,
  allowUntrained,
}: ModelOptions): Promise<CommSession> {
  const { loadModel } = await import('../generate/load.js');
  const started = Date.now();
  let progress: Progress | undefined;
  const session = await loadModel(model, {
    dtype,
    device,
    visionTower,
    base,
    lora,
    allowUntrained,
    onNote: (line) => note(printable(line)),
    onWeight: (done, total) => {
      if (progress === undefined && Date.now() - started < QUIET_MS) return;
      progress ??= new Progress({ label: 'loading', total, unit: 'weights', start: done });
      progress.update(done);
    },
  });
  progress?.finish();
  return session;
}
