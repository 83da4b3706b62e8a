import type { Dtype, LoadPlan } from '../../types/index.js';
import { models } from '../models.js';
import { megabytes } from './progress.js';

export interface CheckOptions {
  model: string;
  dtype: Dtype;
  revision: string;
  host: string;
  /** The number of layers to load; default all. */
  layers?: number;
  /** The file that the weights are read from; default as in `LoadOptions`. */
  weights?: string;
  /** Whether an ONNX file whose weights have 8 bits may be read. */
  lossy?: true;
  token?: string;
}

/**
 * Returns some lines about the files that a load of a model would read, and the storage and memory that it would take, without loading it.
 * @throws {PilotlightError} as `models.plan`, where the model cannot be loaded
 */
export async function check({ model, ...options }: CheckOptions): Promise<string> {
  return linesOf(await models.plan(model, { ...options, device: 'cpu', store: false }));
}

function linesOf(plan: LoadPlan): string {
  const { files, fetchBytes, storeBytes, memoryBytes, lossy } = plan;
  const sizes = files.map(({ path, bytes }) => `${path}${bytes === undefined ? '' : ` ${sizeOf(bytes)}`}`);
  const commit = plan.commit ? `, commit ${plan.commit}` : '';
  const lines = [
    `${plan.model}${commit}`,
    `  loaded by  ${plan.class}, in ${plan.dtype}`,
    `  fetches    ${sizeOf(fetchBytes)}, ${plan.tensors} tensors`,
    ...sizes.map((size) => `             ${size}`),
    ...(lossy ? ['             whose weights have 8 bits or fewer, so that embeddings are less accurate'] : []),
    `  stores     ${sizeOf(storeBytes)}`,
    `  takes      about ${sizeOf(memoryBytes)} of memory`,
  ];
  return `${lines.join('\n')}\n`;
}

const sizeOf = (bytes: number): string =>
  bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${megabytes(bytes)} MB`;
