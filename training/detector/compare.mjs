/** Two figure files side by side, as Markdown for a pull request: `node training/detector/compare.mjs BEFORE.json AFTER.json`. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The numbers of figures by their paths. */
function flat(value, path = []) {
  if (typeof value === 'number') return [[path.join(' · '), value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, one]) =>
    // Of an interval only the value is compared.
    name === 'interval' || name === 'interval1' ? [] : flat(one, name === 'value' ? path : [...path, name]),
  );
}

const shown = (value) => (value === undefined ? 'absent' : String(value));

/** A table of all figures of both, with the change. */
export function compare(before, after) {
  const [old, now] = [new Map(flat(before)), new Map(flat(after))];
  const lines = [...new Set([...old.keys(), ...now.keys()])].map((name) => {
    const [a, b] = [old.get(name), now.get(name)];
    const change = a === undefined || b === undefined ? '' : Number((b - a).toFixed(4));
    return `| ${name} | ${shown(a)} | ${shown(b)} | ${change > 0 ? '+' : ''}${change} |`;
  });
  return ['| figure | before | after | change |', '|---|---|---|---|', ...lines].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [before, after] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')));
  if (!after) {
    console.error('expected two files of figures');
    process.exit(1);
  }
  console.log(compare(before, after));
}
