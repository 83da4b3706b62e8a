/** Reads the functions with their names, and the data, of a WebAssembly module that keeps its section of names. */
export function readWasm(bytes) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  const take = (length) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  const text = () => take(number()).toString();
  const each = (work) => {
    for (let count = number(); count > 0; count -= 1) work();
  };
  let imports = 0;
  const bodies = [];
  const data = [];
  const names = new Map();
  const sections = {
    0: (end) => {
      if (text() !== 'name') return;
      while (at < end) {
        const kind = bytes[at++];
        const length = number();
        const next = at + length;
        if (kind === 1)
          each(() => {
            const index = number();
            names.set(index, text());
          });
        at = next;
      }
    },
    2: () =>
      each(() => {
        text();
        text();
        const kind = bytes[at++];
        if (kind === 0) {
          number();
          imports += 1;
        } else if (kind === 2) {
          // A memory that is shared has both limits.
          const flags = number();
          number();
          if (flags & 1) number();
        } else throw new Error('a module imports other things than functions and a memory');
      }),
    10: () => each(() => bodies.push(take(number()))),
    11: () =>
      each(() => {
        // An active segment: its flags, then `i32.const` with its address, `end`, and its bytes. A passive one has no address.
        const flags = number();
        if (flags > 1) throw new Error(`a data segment has the flags ${flags}, expected 0 or 1`);
        if (flags === 0) {
          at += 1;
          number();
          at += 1;
        }
        data.push({ bytes: take(number()) });
      }),
  };
  while (at < bytes.length) {
    const id = bytes[at++];
    const length = number();
    const end = at + length;
    sections[id]?.(end);
    at = end;
  }
  return { imports, functions: bodies.map((body, i) => ({ name: names.get(imports + i) ?? '', bytes: body })), data };
}

/** The words of a mangled name: `_ZN4core3ptr…` is `core::ptr::…`. */
export function demangled(name) {
  let words = name;
  if (name.startsWith('_ZN')) {
    const parts = [];
    for (let at = 3; ; ) {
      const [digits] = /^\d+/.exec(name.slice(at)) ?? [];
      if (!digits) break;
      at += digits.length;
      parts.push(name.slice(at, at + Number(digits)));
      at += Number(digits);
    }
    words = parts.join('::');
  }
  const escapes = {
    LT: '<',
    GT: '>',
    RF: '&',
    LP: '(',
    RP: ')',
    C: ',',
    u20: ' ',
    u7b: '{',
    u7d: '}',
    BP: '*',
    u27: "'",
  };
  return words
    .replace(/\$(\w+?)\$/g, (whole, letters) => escapes[letters] ?? whole)
    .replace(/^_(?=<)/, '')
    .replaceAll('..', '::')
    .replace(/::h[0-9a-f]{16}$/, '')
    .replace(/\[[0-9a-f]{16}\]/g, '');
}

/** The crate that defines a function: for an implementation, that of its type. */
export const crateOf = (name) =>
  /^[<&([*]*(?:mut |dyn |const )*([A-Za-z_]\w*)::/.exec(demangled(name))?.[1] ?? 'others';
