/** A store as a host program would pass one in; `rows` is what it holds. */
export function mapStore() {
  const rows = new Map();
  return {
    rows,
    get: async (key) => rows.get(key),
    put: async (key, bytes) => void rows.set(key, bytes.slice()),
    delete: async (key) => void rows.delete(key),
    keys: async (prefix) => [...rows.keys()].filter((key) => key.startsWith(prefix)),
  };
}
