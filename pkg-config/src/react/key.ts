/** Numbers of objects that are compared by identity. */
const numbers = /* @__PURE__ */ new WeakMap<object, number>();
let last = 0;

/** Returns a text that is equal for equal values. Lists and plain objects are compared by what they have, other objects by identity. */
export function keyOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(keyOf).join()}]`;
  if (typeof value === 'function' || (typeof value === 'object' && value !== null && !isPlain(value)))
    return `#${numberOf(value)}`;
  if (typeof value !== 'object' || value === null) return `${typeof value}:${JSON.stringify(String(value))}`;
  const given = Object.entries(value).filter(([, own]) => own !== undefined);
  return `{${given
    .map(([name, own]) => `${JSON.stringify(name)}:${keyOf(own)}`)
    .sort()
    .join()}}`;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function numberOf(value: object): number {
  const known = numbers.get(value);
  if (known !== undefined) return known;
  last += 1;
  numbers.set(value, last);
  return last;
}
