/**
 * What every data set is read into: one conversation about some pictures. Boxes stay in pixels of the picture they lie
 * on until the model's own square is known (images/frames.ts); texts hold placeholders where pictures and coordinates go.
 */
import type { PixelBox, PixelPoint } from '../images/frames.js';

/** Width and height of a picture in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Where the bytes of a picture are. */
export interface PictureRef {
  /** Name of the store in the data set's configuration: a folder, an archive, a table. */
  readonly store: string;
  /** Path or key within the store. */
  readonly key: string;
  /** What the record says of its size, where coordinates lie on it: the frame that they are in. */
  readonly size?: Size | undefined;
}

/** What one `<boxes>` or `<points>` stands for: coordinates in pixels of a picture of the sample. */
export type Mark =
  | { readonly kind: 'boxes'; readonly picture: number; readonly boxes: readonly PixelBox[] }
  | { readonly kind: 'points'; readonly picture: number; readonly points: readonly PixelPoint[] };

/** A question and its answer; `<image>`, `<boxes>` and `<points>` are placeholders in both. */
export interface SampleTurn {
  readonly question: string;
  readonly answer: string;
  /** One for each `<boxes>` and `<points>`, in the order of the text, question first. */
  readonly marks: readonly Mark[];
  /** Absent where the answer is learned: only what a record takes out is read and not learned. */
  readonly learned?: false;
}

/** One training sample. */
export interface Sample {
  /** Name of the data set and the key of the sample within it, unique over a mixture. */
  readonly id: string;
  /** File and line, or file and key, that an error can point to. */
  readonly where: string;
  /** In the order of their `<image>`. */
  readonly pictures: readonly PictureRef[];
  /** System text of the record, in the place of the model's own. */
  readonly system?: string | undefined;
  readonly turns: readonly SampleTurn[];
}

/** A data set opened for reading: any sample by its index, the same for the same index and draw. */
export interface DataSet {
  readonly name: string;
  readonly length: number;
  /** Records that give no sample by the rules of their set, by what they are: crowd regions, excluded samples. */
  readonly leftOut?: Readonly<Record<string, number>>;
  /**
   * Sample `index`; `draw` seeds what is chosen anew each time it is seen (the template, the order of candidates).
   * Throws CommError `data/sample` with file and line when it is malformed.
   */
  sample(index: number, draw: number): Sample;
}

/** Bytes of pictures by key. */
export interface PictureStore {
  /** Encoded picture as stored; throws CommError `data/picture` that names the store and the key. */
  read(key: string): Promise<Uint8Array>;
  /** Whether it is there, without reading it. */
  has(key: string): Promise<boolean>;
  close(): Promise<void>;
}
