/** Errors of the package, as the gateway answers them. */
import { clientClosed, type ErrorCode, GatewayError } from '../http/errors.ts';

interface PackageError extends Error {
  code: string;
}

/** Errors are recognized by their name: a bundle may have several copies of the class. */
export const isPackageError = (error: unknown): error is PackageError =>
  error instanceof Error && error.name === 'PilotlightError' && 'code' in error;

/** The answer to a failed call of a loaded model. */
export function callError(error: unknown): unknown {
  if (!isPackageError(error)) return error;
  const { code, message } = error;
  if (code === 'INVALID_INPUT') return withField('invalid_request', message, error);
  if (code === 'RESOURCE_LIMIT') return withField('body_too_large', message, error);
  if (code === 'ABORTED') return clientClosed(error);
  return notLoaded('The model failed, and is loaded again at the next request.', error);
}

/** The answer to a failed load. The message of the package may name folders and hosts, so it goes to the log alone. */
export function loadError(id: string, error: unknown): unknown {
  if (error instanceof GatewayError) return error;
  const reason = isPackageError(error) ? ` (${error.code})` : '';
  return notLoaded(`The model "${id}" could not be loaded${reason}.`, error);
}

export const notLoaded = (message: string, cause?: unknown): GatewayError =>
  new GatewayError('model_not_loaded', message, { headers: { 'retry-after': '5' }, cause });

/** The package names `texts[3]` or `images[0]`, and requests have `input[3]`. */
function withField(code: ErrorCode, message: string, cause: unknown): GatewayError {
  const own = message.replace(/^(texts|images)(?=[[:])/, 'input');
  const param = /^([a-z_]+(?:\[\d+\])?): /.exec(own)?.[1];
  return new GatewayError(code, own, { cause, ...(param !== undefined && { param }) });
}

/** Whether another place may answer instead: an error of the request itself would be one there too. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof GatewayError &&
  ['model_not_loaded', 'overloaded', 'upstream_unavailable', 'upstream_unreachable', 'upstream_timeout'].includes(
    error.code,
  );
