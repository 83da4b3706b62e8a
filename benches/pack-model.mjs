// The packed file of a model, made by the package itself in Node: what its store keeps.
import { TextEmbedder } from 'pilotlight';

export async function packModel(model, host) {
  const rows = new Map();
  const store = {
    get: async (key) => rows.get(key),
    put: async (key, bytes) => void rows.set(key, bytes.slice()),
    delete: async (key) => void rows.delete(key),
    keys: async (prefix) => [...rows.keys()].filter((key) => key.startsWith(prefix)),
  };
  (await TextEmbedder.load(model, { host, dtype: 'q8', device: 'cpu', store })).dispose();
  const manifest = JSON.parse(new TextDecoder().decode([...rows].find(([key]) => key.endsWith('#manifest'))[1]));
  const [, file] = Object.entries(manifest.files).find(([name]) => name.endsWith('.safetensors'));
  return Buffer.concat(file.chunks.map(({ key }) => rows.get(key)));
}
