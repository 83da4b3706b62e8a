// The database and its store keep the names that earlier versions gave them, so that no visitor loses a library.
const NAME = 'pilotlight-pictures';
const STORE = 'pictures';

/** An image as it is kept in the database, which the libraries of all models share. */
export interface ImageRecord {
  /** The name of the library, which is that of the model that made the vector. */
  library: string;
  /** The model and backend that made the vector, in the form of `sourceOf` in `clip.ts`: vectors of different sources cannot be compared. */
  source: string;
  /** An id that names the origin of the image: a file's name, size and date, or a drawing's seed. */
  id: string;
  name: string;
  /** The time at which the image was added, in milliseconds since 1970; the library is in this order. */
  added: number;
  /** The middle of the image, 160 pixels square. */
  thumb: Blob;
  /** A reduced copy, which the dialog shows and from which the image can be embedded again. */
  preview: Blob;
  width: number;
  height: number;
  /** The vector is kept here too, because the map needs it and an index gives no vectors back. */
  vector: Float32Array;
}

/** Reads the images of a library in the order in which they were added. */
export async function readRecords(library: string): Promise<ImageRecord[]> {
  const records = await run<ImageRecord[]>('readonly', (store) => store.getAll(rangeOf(library)));
  return records.sort((a, b) => a.added - b.added);
}

export const putRecord = (record: ImageRecord) => run('readwrite', (store) => store.put(record));
export const deleteRecord = ({ library, id }: ImageRecord) => run('readwrite', (store) => store.delete([library, id]));
export const deleteRecords = (library: string) => run('readwrite', (store) => store.delete(rangeOf(library)));

/** The range of a library's keys: it ends before an empty array, which IndexedDB sorts after every string. */
const rangeOf = (library: string) => IDBKeyRange.bound([library], [library, []]);

/** Runs one request in a transaction of its own, and waits until that is complete. */
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

/** Opens the database. It is opened for each transaction, so that no tab blocks another one that wants to upgrade or delete it. */
function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => void request.result.createObjectStore(STORE, { keyPath: ['library', 'id'] });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
