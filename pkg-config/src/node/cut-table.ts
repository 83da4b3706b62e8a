import type { Change, Cut } from './cut.js';

/** Returns a printed table of the parts that became smaller. */
export function tableOfCut({ before, after, texts }: Cut): string {
  const rows: [string, string, string][] = [['', 'before', 'after']];
  const row = (name: string, of: (change: Change) => string): void => void rows.push([name, of(before), of(after)]);
  row('bytes', ({ bytes }) => grouped(bytes));
  if (after.pieces !== undefined) row('pieces of the vocabulary', ({ pieces = 0 }) => grouped(pieces));
  row('floats of a vector', ({ dimensions }) => grouped(dimensions));
  if (after.spearman !== undefined) row('Spearman', ({ spearman = Number.NaN }) => spearman.toFixed(4));
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const lines = rows.map(([name, old, now]) =>
    [name.padEnd(widths[0] ?? 0), old.padStart(widths[1] ?? 0), now.padStart(widths[2] ?? 0)].join('  '),
  );
  if (texts) {
    const { all, changed } = texts;
    lines.push(
      changed === 0
        ? `all ${grouped(all)} texts of the corpus have the same tokens as before`
        : `${grouped(changed)} of ${grouped(all)} texts of the corpus have other tokens than before`,
    );
  }
  return `${lines.join('\n')}\n`;
}

const grouped = (value: number): string => value.toLocaleString('en-US');
