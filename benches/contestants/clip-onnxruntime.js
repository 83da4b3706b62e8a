// CLIP's image tower by onnxruntime-web: normalized values in, vectors out.
import * as ort from '/peers/onnxruntime-web/dist/ort.wasm.min.mjs';

export async function load({ threads, onnx }) {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = '/peers/onnxruntime-web/dist/';
  const session = await ort.InferenceSession.create(onnx, { executionProviders: ['wasm'] });
  return {
    image: ({ pixels, edge }) => {
      const values = Float32Array.from(
        { length: 3 * edge * edge },
        (_, i) => pixels[(i % (edge * edge)) * 4 + Math.floor(i / (edge * edge))] / 64 - 2,
      );
      return session.run({ pixel_values: new ort.Tensor('float32', values, [1, 3, edge, edge]) });
    },
  };
}
