/** The kind of entry that a key stands for, as `src/store/key.rs` names it: ref, manifest, partial, used, chunk, head or tokenizer. */
export function kindOf(key) {
  const kind = /#(\w+)/.exec(key)?.[1];
  return (kind === 'chunk' && /\/(head|tokenizer)$/.exec(key)?.[1]) || kind;
}

/** The keys of all entries of one kind in a `mapStore()`. */
export const keysOf = ({ rows }, kind) => [...rows.keys()].filter((key) => kindOf(key) === kind);

/** The bytes of the packed tokenizers in a `mapStore()`, which a list counts and a plan leaves out. */
export const packedTokenizers = (store) =>
  keysOf(store, 'tokenizer').reduce((sum, key) => sum + store.rows.get(key).length, 0);
