import type { FileSource, LoadOptions } from '../types/index.js';

/** The caller's files, with streams that break off when the signal fires: one that stalls would else hold the load for ever. */
export function abortableFiles(files: LoadOptions['files'], signal: AbortSignal | undefined): LoadOptions['files'] {
  if (!signal || typeof files !== 'object' || files === null) return files;
  return Object.fromEntries(Object.entries(files).map(([name, source]) => [name, abortableSource(source, signal)]));
}

function abortableSource(source: FileSource, signal: AbortSignal): FileSource {
  // A stream that is locked or was read cannot be used anyway; the loader says so with the file's name.
  if (source instanceof ReadableStream)
    return source.locked ? source : source.pipeThrough(new TransformStream(), { signal });
  if (source instanceof Response && source.body && !source.body.locked) {
    const { status, statusText, headers } = source;
    return new Response(source.body.pipeThrough(new TransformStream(), { signal }), { status, statusText, headers });
  }
  return source;
}
