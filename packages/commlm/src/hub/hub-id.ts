/** What names a model on a hub: `org/name[@revision]`, and how the parts become folder names and addresses. */
import { CommError } from '../config/errors.js';

/** A model on a hub at one revision: a branch, a tag, a commit or a `refs/pr/...`. */
export interface HubId {
  /** `org/name`. */
  readonly model: string;
  readonly revision: string;
}

/** Revision when none is named. */
export const DEFAULT_REVISION = 'main';

const PART = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/;
const MAX_MODEL_LENGTH = 96;

/** Why `model` cannot be a name on a hub, or undefined when it can. */
function modelProblem(model: string): string | undefined {
  const parts = model.split('/');
  if (parts.length !== 2) return 'it is written org/name';
  if (!parts.every((part) => PART.test(part))) {
    return 'org and name are letters, digits, "-", "_" and ".", and begin and end with a letter, a digit or "_"';
  }
  if (model.includes('--') || model.includes('..')) return '"--" and ".." are not allowed';
  if (model.endsWith('.git')) return 'it does not end in ".git"';
  if (model.length > MAX_MODEL_LENGTH) return `it is at most ${MAX_MODEL_LENGTH} characters long`;
  return undefined;
}

/** Why `revision` cannot be a git revision (it becomes a path below `refs/`), or undefined when it can. */
function revisionProblem(revision: string): string | undefined {
  if (!/^[\w./+=#%,@-]+$/.test(revision)) return 'a revision is a branch, a tag or a commit';
  const parts = revision.split('/');
  if (parts.some((part) => part === '' || part.startsWith('.') || part.endsWith('.lock') || part.includes('..'))) {
    return 'a revision has no empty parts and none that begin with "."';
  }
  return undefined;
}

/** True for text that has the form `org/name[@revision]`. */
export function isHubId(text: string): boolean {
  const { model, revision } = split(text);
  return modelProblem(model) === undefined && revisionProblem(revision ?? DEFAULT_REVISION) === undefined;
}

/** Reads `org/name[@revision]`; `revision` may also be given apart. Throws CommError (exit code 2) saying what is wrong. */
export function parseHubId(text: string, revision?: string): HubId {
  const { model, revision: inText } = split(text);
  const wrongModel = modelProblem(model);
  if (wrongModel !== undefined) {
    throw new CommError(`"${text}" is no hub id: ${wrongModel}.`, {
      code: 'hub/bad-id',
      fix: 'As in: commlm pull org/name or commlm pull org/name@revision',
      exitCode: 2,
    });
  }
  if (inText !== undefined && revision !== undefined && inText !== revision) {
    throw new CommError(`Two revisions are named: "${inText}" in the hub id and "${revision}" beside it.`, {
      code: 'hub/bad-id',
      fix: 'Name the revision once.',
      exitCode: 2,
    });
  }
  const chosen = revision ?? inText ?? DEFAULT_REVISION;
  const wrongRevision = revisionProblem(chosen);
  if (wrongRevision !== undefined) {
    throw new CommError(`"${chosen}" is no revision of ${model}: ${wrongRevision}.`, {
      code: 'hub/bad-id',
      fix: `As in: commlm pull ${model}@main`,
      exitCode: 2,
    });
  }
  return { model, revision: chosen };
}

function split(text: string): { model: string; revision: string | undefined } {
  const at = text.indexOf('@');
  return at < 0 ? { model: text, revision: undefined } : { model: text.slice(0, at), revision: text.slice(at + 1) };
}

/** `org/name`, with `@revision` unless that is the default one: what a user types to name it again. */
export function formatHubId({ model, revision }: HubId): string {
  return revision === DEFAULT_REVISION ? model : `${model}@${revision}`;
}

/** True for a full commit hash, which never means anything else later. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);
