/** Why a template cannot be rendered: one sentence without a full stop. */

/** A template that is wrong, does something unknown here, or exceeds a bound. */
export class TemplateFault extends Error {
  override readonly name = 'TemplateFault';
}

/** @throws TemplateFault */
export function fault(message: string): never {
  throw new TemplateFault(message);
}
