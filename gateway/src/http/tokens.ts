/** Tokens of an identity provider (JWT), taken beside API keys. */
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import * as v from 'valibot';
import type { Key, Limits } from '../keys.ts';
import { SCOPES, type Scope } from '../operation.ts';
import { isStorable } from '../schemas.ts';
import type { Settings } from '../settings.ts';
import { GatewayError } from './errors.ts';

/** Only signatures by a key that the provider alone has: with a shared secret, whoever can check a token could make one. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

const count = v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1e12)));
const claims = v.object({
  sub: v.pipe(v.string(), v.minLength(1), v.maxLength(256), v.check(isStorable)),
  scope: v.optional(v.string(), ''),
  /** Limits that the provider puts into its tokens; one limit counts all tokens of a subject. */
  limits: v.optional(v.object({ rpm: count, tpm: count, tpd: count, concurrency: count }), {}),
  models: v.optional(v.nullable(v.array(v.string())), null),
});

export interface Tokens {
  /** The key that a token stands for; undefined where it is not valid. */
  key(token: string): Promise<Key | undefined>;
}

/**
 * Reads tokens as the settings say; undefined where they name no identity provider.
 * @throws {Error} without an audience, as the tokens that the provider makes for any other app would be taken
 */
export function tokensOf(settings: Settings): Tokens | undefined {
  if (settings.AUTH_JWKS === undefined) return undefined;
  if (settings.AUTH_AUDIENCE === undefined) throw new Error('AUTH_AUDIENCE: needed beside AUTH_JWKS');
  // It keeps the provider's keys for ten minutes, and asks again at once where a token names one that it does not know.
  const jwks = createRemoteJWKSet(new URL(settings.AUTH_JWKS), { timeoutDuration: 5_000 });
  const options = {
    algorithms: ALGORITHMS,
    audience: settings.AUTH_AUDIENCE,
    requiredClaims: ['exp', 'sub'],
    ...(settings.AUTH_ISSUER === undefined ? {} : { issuer: settings.AUTH_ISSUER }),
  };
  return {
    async key(token) {
      if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
      try {
        const { payload } = await jwtVerify(token, jwks, options);
        const { success, output } = v.safeParse(claims, payload);
        if (!success) return undefined;
        // An owner of keys may have the name of a subject; only an administrator makes them share what they have.
        const owner = `jwt:${output.sub}`;
        return {
          id: owner,
          name: output.sub,
          owner,
          scopes: output.scope.split(' ').filter((scope): scope is Scope => SCOPES.includes(scope as Scope)),
          limits: output.limits as Limits,
          models: output.models,
          history: 'off',
        };
      } catch (error) {
        if (isUnreachable(error)) {
          throw new GatewayError('not_ready', 'The identity provider does not answer.', {
            headers: { 'retry-after': '5' },
            cause: error,
          });
        }
        return undefined;
      }
    },
  };
}

/** Whether the provider could not be asked, which says nothing about the token. */
function isUnreachable(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout) return true;
  // An answer other than 200 is a plain JOSEError; refused connections are a TypeError of fetch.
  return error instanceof TypeError || (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC');
}
