/** Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`. */

/** Each code with its HTTP status. */
export const STATUS = {
  invalid_json: 400,
  invalid_request: 400,
  invalid_api_key: 401,
  missing_scope: 403,
  model_not_allowed: 403,
  not_found: 404,
  model_not_found: 404,
  method_not_allowed: 405,
  body_timeout: 408,
  conflict: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  overloaded: 429,
  /** The client has left; nobody reads this status but the log. */
  client_closed: 499,
  internal: 500,
  upstream_bad_answer: 502,
  upstream_unreachable: 502,
  upstream_auth: 502,
  upstream_unavailable: 503,
  model_not_loaded: 503,
  not_ready: 503,
  not_cached: 504,
  upstream_timeout: 504,
} as const;

export type ErrorCode = keyof typeof STATUS;

/** An error that is answered to the client; any other error is answered as `internal`, and told to the log alone. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  /** The field of the request, such as `input[3]`. */
  readonly param: string | undefined;
  readonly headers: Record<string, string>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { param?: string; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param;
    this.headers = options.headers ?? {};
  }

  get status(): number {
    return STATUS[this.code];
  }

  /** The body of the answer. */
  toJSON(): { error: { message: string; type: string; param: string | null; code: ErrorCode } } {
    return { error: { message: this.message, type: typeOf(this.status), param: this.param ?? null, code: this.code } };
  }
}

/** The gateway's own error of a body that could not be read, which platforms wrap in errors of theirs. */
export function gatewayErrorIn(error: unknown): GatewayError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof GatewayError) return at;
  return undefined;
}

/** The error of a client that has left before its answer. */
export const clientClosed = (cause?: unknown): GatewayError =>
  new GatewayError('client_closed', 'The client has left.', { cause });

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'api_error';
}
