// onnxruntime-web, ids in, last hidden state out, or the first token's part of it.
import * as ort from '/peers/onnxruntime-web/dist/ort.wasm.min.mjs';

export async function load({ threads, onnx }) {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = '/peers/onnxruntime-web/dist/';
  const session = await ort.InferenceSession.create(onnx, { executionProviders: ['wasm'] });
  const tensor = (rows, fill) =>
    new ort.Tensor('int64', BigInt64Array.from(rows.flatMap((row) => row.map((id) => BigInt(fill ?? id)))), [
      rows.length,
      rows[0].length,
    ]);
  const hidden = ({ ids }) => {
    const inputs = { input_ids: tensor(ids), attention_mask: tensor(ids, 1), token_type_ids: tensor(ids, 0) };
    return session.run(Object.fromEntries(session.inputNames.map((name) => [name, inputs[name]])));
  };
  return {
    hidden,
    first: async (input) => {
      const { data, dims } = (await hidden(input)).last_hidden_state;
      return Array.from(data.subarray(0, dims[2]));
    },
  };
}
