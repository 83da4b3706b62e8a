const NAME = 'pilotlight-pictures';
const STORE = 'pictures';

/** A picture as it is kept. Libraries, one for each model, share a store. */
export interface PictureRecord {
  /** The model that saw it. */
  library: string;
  /** What made the vector, as `clip.ts` writes it: vectors of another source do not compare. */
  source: string;
  /** Of what made it: a file's name, size and date, or a drawing's seed. */
  id: string;
  name: string;
  /** When it came, in milliseconds since 1970: the order of the library. */
  added: number;
  /** 160 pixels square, of its middle. */
  thumb: Blob;
  /** For looking at it, and for asking again what it shows. */
  preview: Blob;
  width: number;
  height: number;
  /** Here too, because the map needs it and an index gives none back. */
  vector: Float32Array;
}

/** The pictures of a library, the first that came first. */
export async function readRecords(library: string): Promise<PictureRecord[]> {
  const records = await run<PictureRecord[]>('readonly', (store) => store.getAll(rangeOf(library)));
  return records.sort((a, b) => a.added - b.added);
}

export const putRecord = (record: PictureRecord) => run('readwrite', (store) => store.put(record));
export const deleteRecord = ({ library, id }: PictureRecord) =>
  run('readwrite', (store) => store.delete([library, id]));
export const deleteRecords = (library: string) => run('readwrite', (store) => store.delete(rangeOf(library)));

/** An array is greater than any string. */
const rangeOf = (library: string) => IDBKeyRange.bound([library], [library, []]);

async function run<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  const database = await open();
  try {
    const transaction = database.transaction(STORE, mode);
    const request = ask(transaction.objectStore(STORE));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? request.error);
    });
    return request.result as T;
  } finally {
    database.close();
  }
}

/** Anew for each transaction, so that no tab keeps a database that another one wants to change or to delete. */
function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore(STORE, { keyPath: ['library', 'id'] });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
