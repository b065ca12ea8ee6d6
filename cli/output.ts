/**
 * How answers are printed: one JSON value with `--json`, else lines and tables a person can read.
 *
 * @module
 */
export interface Output {
  /** The answer of a command. With `--json` it is printed as it is. */
  result(value: unknown, human: () => string): void
  line(text: string): void
  /** To a person only, and never into what another program reads. */
  note(text: string): void
}

export function createOutput(json: boolean): Output {
  const write = (text: string) => process.stdout.write(`${text}\n`)
  return {
    result: (value, human) => void write(json ? JSON.stringify(value) : human()),
    line: (text) => void write(text),
    note: (text) => void process.stderr.write(`${text}\n`),
  }
}

type Cell = string | number | boolean | null | undefined | readonly string[]

/** Columns as wide as their widest cell; `empty` when there are no rows. */
export function table(
  rows: readonly Readonly<Record<string, Cell>>[],
  columns: readonly string[],
  empty: string,
): string {
  if (rows.length === 0) return empty
  const cells = [columns, ...rows.map((row) => columns.map((column) => show(row[column])))]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => (line[index] ?? '').length)))
  return cells
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function show(cell: Cell): string {
  if (cell === null || cell === undefined) return '-'
  const text = Array.isArray(cell) ? cell.join(', ') : String(cell) // arrays are handled before
  return printable(text)
}

/** A terminal obeys escape sequences, and labels come from other people. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '�')
}
