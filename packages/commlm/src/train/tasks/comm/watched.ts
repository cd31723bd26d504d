/** Tokens whose loss is logged beside that of all, by what they decide. */

/** A batch writes the place in this list plus one beside each of them. */
export const WATCHED = [
  'existence',
  'rec_digit1',
  'rec_digit2',
  'name_at',
  'word_probe',
  'edge_probe1',
  'edge_probe2',
] as const;

export type Watched = (typeof WATCHED)[number];
