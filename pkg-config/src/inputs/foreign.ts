/** The name of a value's class. It also works for values of another realm, whose classes are other objects. */
export const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** Whether a value of any realm is a buffer or a view of one. */
export const isBytes = (value: unknown): value is ArrayBufferLike | ArrayBufferView =>
  ArrayBuffer.isView(value) || ['ArrayBuffer', 'SharedArrayBuffer'].includes(tagOf(value));

/**
 * This realm's view of bytes of any realm; `undefined` where the value has none.
 * @throws {TypeError} where its buffer was transferred away
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return isBytes(value) ? new Uint8Array(value as ArrayBufferLike) : undefined;
}

/** This realm's view of a `Float32Array` of any realm; `undefined` where the value is none. */
export function floatsOf(value: unknown): Float32Array | undefined {
  if (value instanceof Float32Array) return value;
  if (!ArrayBuffer.isView(value) || tagOf(value) !== 'Float32Array') return undefined;
  return new Float32Array(value.buffer, value.byteOffset, value.byteLength / Float32Array.BYTES_PER_ELEMENT);
}

/** Whether a value has a method of this name. */
export function has<Name extends PropertyKey>(
  value: unknown,
  name: Name,
): value is Record<Name, (...args: never[]) => unknown> {
  return value !== undefined && value !== null && typeof (value as Record<Name, unknown>)[name] === 'function';
}

/** Names a value's kind for messages. They never show its content, which may be private. */
export const kindOf = (value: unknown): string =>
  value === null ? 'null' : typeof value === 'object' ? tagOf(value) : typeof value;
