/** Pictures as they are shown, each with its hash: an answer about a picture that has changed since is no answer. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { answerKey, foreign, type LoggedAnswer } from './answer-log.js';
import type { EvalItem } from './benchmarks/item.js';
import { PictureReader } from './benchmarks/pictures.js';

/** Enough to tell pictures apart, in a line of the record for each answer. */
const HASH_DIGITS = 16;

/** Reads pictures by the keys of items, and keeps their hashes. */
export class HashedPictures {
  readonly #reader: PictureReader;
  readonly #hashes = new Map<string, string>();

  /** @param data the data folder */
  constructor(data: string) {
    this.#reader = new PictureReader(resolve(data));
  }

  /** Bytes of an encoded picture. @throws CommError when it is gone or no picture file */
  async read(key: string): Promise<Uint8Array> {
    const bytes = await this.#reader.read(key);
    this.#hashes.set(key, createHash('sha256').update(bytes).digest('hex').slice(0, HASH_DIGITS));
    return bytes;
  }

  /** Hash of a picture that was read. */
  hashOf(key: string): string | undefined {
    return this.#hashes.get(key);
  }

  /** @throws CommError when a question of the record `path` was answered about another picture of the same name */
  async check(items: readonly EvalItem[], answers: ReadonlyMap<string, LoggedAnswer>, path: string): Promise<void> {
    for (const { id, picture } of items) {
      if (picture === null) continue;
      const logged = [false, true].map((blind) => answers.get(answerKey(id, blind)));
      const answered = logged.find((each) => each !== undefined && each.unanswered === undefined);
      if (answered?.pictureHash === undefined) continue;
      if (!this.#hashes.has(picture)) await this.read(picture);
      if (this.#hashes.get(picture) !== answered.pictureHash) {
        throw foreign(path, `the picture ${picture} of question ${JSON.stringify(id)} has changed`);
      }
    }
  }
}
