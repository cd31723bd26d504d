/** The one rule between attribute names in code and keys in a state dict. */

/** `qProj` to `q_proj`: an underscore before each capital, then lower case; digits stay (`fc1`, `norm2`). */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (capital, at: number) => (at > 0 ? '_' : '') + capital.toLowerCase());
}

/** Joins parts of a key with dots; empty parts vanish. */
export function joinKey(prefix: string, name: string): string {
  if (prefix === '') return name;
  return name === '' ? prefix : `${prefix}.${name}`;
}
