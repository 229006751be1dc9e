// The certificates of the sync port. A certificate and its key make the port speak https; an authority makes both sides show a certificate
// that it has signed (mTLS), which is trust enough without a secret.

import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { CounterError } from '../base/errors.ts'

/** PEM texts, as their files hold them. */
export interface Tls {
  readonly cert: Buffer | string
  readonly key: Buffer | string
  /** The authority that signs the members' certificates. With it, a client has to show one. */
  readonly ca?: Buffer | string
}

/** @throws CounterError CONFIG_INVALID: they cannot be read, or the key is not that of the certificate */
export function checkTls(tls: Tls): void {
  try {
    createSecureContext(contextOf(tls))
    // A context takes any text for an authority, and then trusts nobody.
    if (tls.ca !== undefined) new X509Certificate(tls.ca)
  } catch (error) {
    throw new CounterError('CONFIG_INVALID', `the certificate of the sync port cannot be used: ${(error as Error).message}`, {
      cause: error,
      fix: 'Give a certificate, its private key and, for mTLS, the authority as PEM files that belong together.',
    })
  }
}

export const serverTls = (tls: Tls): SecureContextOptions & { requestCert: boolean; rejectUnauthorized: boolean } => ({
  ...contextOf(tls),
  requestCert: tls.ca !== undefined,
  rejectUnauthorized: true,
})

export const clientTls = (tls: Tls): SecureContextOptions & { rejectUnauthorized: boolean } => ({
  ...contextOf(tls),
  rejectUnauthorized: true,
})

function contextOf({ cert, key, ca }: Tls): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.3', ...(ca === undefined ? {} : { ca }) }
}

/** Whether a connection failed because a certificate, or the lack of one, was not trusted, on either side. */
export function isTlsFailure(error: unknown): boolean {
  const code = String((error as NodeJS.ErrnoException | undefined)?.code ?? '')
  return /^(ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/.test(code)
}
