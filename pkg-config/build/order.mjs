import { demangled, readWasm } from './wasm-names.mjs';

/** The bytes of a function below which its code says more about its neighbours than its name. */
const SMALL = 96;

/**
 * Names the functions of a module by numbers, in an order in which gzip finds repetitions near each other: small ones by their code, others
 * by their trait and method, so that those made from one generic function stand together. wasm-opt sorts by names; the names are not shipped.
 */
export function withOrderedNames(wasm) {
  const { functions, imports } = readWasm(wasm);
  const keyed = functions.map(({ name, bytes }, i) => ({ i, key: keyOf(name), bytes, small: bytes.length < SMALL }));
  keyed.sort((a, b) => {
    if (a.small !== b.small) return a.small ? -1 : 1;
    // The first two bytes are the numbers of the locals, as a rule.
    if (a.small) return Buffer.compare(a.bytes.subarray(2), b.bytes.subarray(2)) || a.i - b.i;
    return compare(a.key, b.key) || a.bytes.length - b.bytes.length || a.i - b.i;
  });
  const names = new Array(functions.length);
  for (const [place, { i }] of keyed.entries()) names[i] = String(place).padStart(6, '0');
  const entries = names.flatMap((name, i) => [...leb(imports + i), name.length, ...Buffer.from(name)]);
  const map = Buffer.from([...leb(names.length), ...entries]);
  const section = Buffer.concat([Buffer.from([4]), Buffer.from('name'), Buffer.from([1, ...leb(map.length)]), map]);
  return Buffer.concat([withoutNames(wasm), Buffer.from([0, ...leb(section.length)]), section]);
}

/** `<Vec<T> as Drop>::drop` becomes `Drop::drop Vec<T>`. */
function keyOf(name) {
  const words = demangled(name);
  const [, type, trait, method] = /^<(.*) as (.*)>::([^>]*)$/.exec(words) ?? [];
  return method ? `${trait}::${method} ${type}` : words;
}

const compare = (a, b) => (a < b ? -1 : Number(a > b));

function leb(number) {
  const bytes = [];
  for (let rest = number; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

/** The module without its section of names. */
function withoutNames(wasm) {
  const parts = [wasm.subarray(0, 8)];
  for (let at = 8; at < wasm.length; ) {
    const start = at;
    const id = wasm[at];
    let length = 0;
    let shift = 1;
    do {
      at += 1;
      length += (wasm[at] & 127) * shift;
      shift *= 128;
    } while (wasm[at] & 128);
    at += 1;
    const isNames = id === 0 && wasm[at] === 4 && wasm.subarray(at + 1, at + 5).equals(Buffer.from('name'));
    at += length;
    if (!isNames) parts.push(wasm.subarray(start, at));
  }
  return Buffer.concat(parts);
}
