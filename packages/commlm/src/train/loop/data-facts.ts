/** What is known of the data of a run: the values that its thread finds out and `run.json` keeps. */
import { z } from 'zod';

const Count = z.int().nonnegative();

const Facts = z.object({
  bytes: Count.optional(),
  /** Files of a folder. */
  files: Count.optional(),
  /** Bytes that the digest is of, where it is not of all. */
  read: Count.optional(),
  sha256: z.string().optional(),
  /** First digits of the SHA-256 of single pictures, by key. */
  pictures: z.record(z.string(), z.string()).readonly().optional(),
});

/** What is known of a file, a folder, or the pictures that a set shows. */
export type DataFacts = Readonly<z.infer<typeof Facts>>;

/** Facts by path. */
export type DataIdentity = Readonly<Record<string, DataFacts>>;

/** As it stands in `run.json`. */
export const DataIdentity = z.record(z.string(), Facts);
