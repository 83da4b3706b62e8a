/** The bytes that a text stands for; by the platform where it can, which takes a tenth of the time. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const { fromBase64 } = Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> };
  return fromBase64
    ? fromBase64.call(Uint8Array, text)
    : Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
