/**
 * Gives the exports by which JavaScript calls Rust's closures the same names in every build.
 * wasm-bindgen copies the compiler's symbol hash, which changes with the crate's features: without this step the glue of the two CPU
 * builds would differ in it. A new name is as long as the old one, so it can be written over it in the wasm.
 */
export function withEqualClosureNames({ glue, wasm }) {
  const hashes = [...new Set(glue.match(/(?<=_invoke__h)[0-9a-f]{16}\b/g))];
  const bytes = Buffer.from(wasm);
  let text = glue;
  for (const [i, hash] of hashes.entries()) {
    const from = `_invoke__h${hash}`;
    const to = `_invoke__h${String(i).padStart(16, '0')}`;
    let at = bytes.indexOf(from);
    if (at < 0) throw new Error(`the wasm has no export ${from}`);
    for (; at >= 0; at = bytes.indexOf(from, at)) bytes.write(to, at);
    text = text.replaceAll(from, to);
  }
  return { glue: text, wasm: bytes };
}
