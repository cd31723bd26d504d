/** Prints rows of cells as columns; the first row is the head. */
export function printTable(cells: readonly (readonly string[])[]): void {
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  for (const line of cells) {
    const padded = line.map((cell, i) => cell.padEnd(widths[i]!));
    console.log(padded.join('  ').trimEnd());
  }
}
