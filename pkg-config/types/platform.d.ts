// Names of the platform that the package's types mention. A project without TypeScript's `dom` library, such as a program for Node, may lack
// some of them; an empty interface lets it compile, and where there is a declaration, the two merge and nothing changes.

interface AbortSignal {}
interface Blob {}
interface HTMLCanvasElement {}
interface HTMLImageElement {}
interface ImageBitmap {}
interface ImageData {}
interface OffscreenCanvas {}
// The name of the parameter is that of TypeScript, as merging asks.
interface ReadableStream<R = any> {}
interface Response {}
interface URL {}

declare namespace WebAssembly {
  interface Module {}
}
