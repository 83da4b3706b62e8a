// Runs in a page that allows no other script than its server's: imports the package, loads the model that the address names, embeds its texts, and
// keeps the answer as `window.answer`.
const { script, model, host, options, texts } = JSON.parse(new URLSearchParams(location.search).get('request'));

async function embed() {
  try {
    const { TextEmbedder } = await import(script);
    const embedder = await TextEmbedder.load(model, { host, dtype: 'f32', ...options });
    const { data, dims } = await embedder.embed(texts);
    const { backend } = embedder;
    const vectors = texts.map((_, row) => Array.from(data.subarray(row * dims[1], (row + 1) * dims[1])));
    embedder.dispose();
    return { vectors, backend, isolated: crossOriginIsolated };
  } catch ({ code, message }) {
    return { error: { code, message } };
  }
}

window.answer = embed();
