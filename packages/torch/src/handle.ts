/** What every tensor handle shares with the dispatcher and the scopes: an id in the addon's table, and nothing else. */

/** A scope that owns handles; see scope.ts. */
export interface Frame {
  readonly parent: Frame | null;
  readonly handles: Handle[];
}

/** One reference to a tensor inside libtorch. Dropping it never frees what autograd still needs. */
export abstract class Handle {
  /** Slot and generation in the addon's table; 0 once disposed. @internal */
  id: number;
  /** The scope that disposes this handle, or null when it is kept. @internal */
  frame: Frame | null = null;

  constructor(id: number) {
    this.id = id;
  }

  /** Forget cached facts after an in-place operator. @internal */
  abstract invalidate(): void;
}

let construct: ((id: number) => Handle) | undefined;

/** tensor.ts names the class to build; the dispatcher itself must not import it. @internal */
export function setHandleFactory(factory: (id: number) => Handle): void {
  construct = factory;
}

/** Wrap an id that the addon just handed out. @internal */
export function newHandle(id: number): Handle {
  if (construct === undefined) throw new Error('@commlm/torch: import the package, not its inner files');
  return construct(id);
}
