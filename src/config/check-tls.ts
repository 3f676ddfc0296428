import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { TlsSettings } from '../core/config.ts';
import type { Problems } from './problems.ts';
import { readTextFile } from './read-text.ts';
import type { Section } from './section.ts';

const MAX_PEM_BYTES = 1_048_576;

/** The files must exist, parse, belong together, and be accepted by the TLS library that will serve with them. */
export function checkTls(section: Section, tls: TlsSettings | null, nowMs: number, problems: Problems): void {
  if (tls === null) {
    if (section.isSet('cert_path') && !section.isSet('key_path'))
      problems.error(section.at('key_path'), 'is missing: TLS needs cert_path and key_path');
    if (section.isSet('key_path') && !section.isSet('cert_path'))
      problems.error(section.at('cert_path'), 'is missing: TLS needs cert_path and key_path');
    return;
  }
  const cert = readPem(section.at('cert_path'), tls.certPath, problems);
  const key = readPem(section.at('key_path'), tls.keyPath, problems);
  const certificate =
    cert === null ? null : parseWith(section.at('cert_path'), 'a PEM certificate', () => new X509Certificate(cert), problems);
  const privateKey =
    key === null ? null : parseWith(section.at('key_path'), 'an unencrypted PEM private key', () => createPrivateKey(key), problems);
  if (certificate === null || privateKey === null || cert === null || key === null) return;
  if (!certificate.checkPrivateKey(privateKey)) problems.error(section.at('key_path'), 'does not belong to the certificate in cert_path');
  else
    parseWith(
      section.at('cert_path'),
      'a usable certificate chain',
      () => createSecureContext({ cert, key, minVersion: tls.minVersion }),
      problems,
    );
  checkValidity(section.at('cert_path'), certificate, nowMs, problems);
}

function checkValidity(path: string, certificate: X509Certificate, nowMs: number, problems: Problems): void {
  if (Date.parse(certificate.validTo) <= nowMs) problems.warn(path, `names a certificate that expired on ${certificate.validTo}`);
  if (Date.parse(certificate.validFrom) > nowMs)
    problems.warn(path, `names a certificate that is not valid before ${certificate.validFrom}`);
}

function readPem(path: string, file: string, problems: Problems): string | null {
  const read = readTextFile(file, MAX_PEM_BYTES);
  if ('text' in read) return read.text;
  problems.error(path, `names a file that ${read.fault}`);
  return null;
}

/** OpenSSL's own words say little and may quote the file; the key's name and what was wanted say more. */
function parseWith<T>(path: string, wanted: string, parse: () => T, problems: Problems): T | null {
  try {
    return parse();
  } catch {
    problems.error(path, `names a file that does not hold ${wanted}`);
    return null;
  }
}
