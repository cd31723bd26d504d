/** Errors of the engine: what libtorch refused, without its C++ back trace. */

/** libtorch refused an operation (shapes, dtypes, memory …); the message names the operator. */
export class TorchError extends Error {
  override readonly name: string = 'TorchError';
  /** `ERR_TORCH`, `ERR_TORCH_OOM` (out of memory), `ERR_TORCH_ADDON` (not built) or `ERR_TORCH_SCOPE`. */
  readonly code: string;

  constructor(message: string, code = 'ERR_TORCH', options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
