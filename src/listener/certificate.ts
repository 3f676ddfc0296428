import { readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Clock, Timer } from '../core/clock.ts';
import type { TlsSettings } from '../core/config.ts';

/** What a TLS server is built from, and rebuilt with. */
export interface CertificatePair {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: TlsSettings['minVersion'];
}

const POLL_MS = 2000;

/** Reads certificate and key for the start; throws an Error naming the file that is missing or unusable. */
export function readCertificate(settings: TlsSettings): CertificatePair {
  const pair = { cert: readFileSync(settings.certPath), key: readFileSync(settings.keyPath), minVersion: settings.minVersion };
  checkCertificate(pair, settings);
  return pair;
}

/**
 * Polls both files and calls `replace` with a pair that works after one of them changed. A pair that does not work
 * (often one file is written before the other) is reported to `failed` once and tried again at the next change.
 */
export function watchCertificate(
  settings: TlsSettings,
  clock: Clock,
  replace: (pair: CertificatePair) => void,
  failed: (error: Error) => void,
): Timer {
  let last = '';
  let isChecking = false;
  const check = async (): Promise<void> => {
    const stamp = await fileStamp(settings);
    const isFirst = last === '';
    if (stamp === last) return;
    last = stamp;
    if (!isFirst) replace(await reread(settings));
  };
  const start = (): void => {
    if (isChecking) return;
    isChecking = true;
    check()
      .catch((error: unknown) => failed(error instanceof Error ? error : new Error(String(error))))
      .finally(() => {
        isChecking = false;
      });
  };
  start();
  return clock.every(POLL_MS, start);
}

async function reread(settings: TlsSettings): Promise<CertificatePair> {
  const [cert, key] = await Promise.all([readFile(settings.certPath), readFile(settings.keyPath)]);
  const pair = { cert, key, minVersion: settings.minVersion };
  checkCertificate(pair, settings);
  return pair;
}

function checkCertificate(pair: CertificatePair, settings: TlsSettings): void {
  try {
    createSecureContext(pair);
  } catch (cause) {
    throw new Error(`The TLS certificate ${settings.certPath} and key ${settings.keyPath} cannot be used together`, { cause });
  }
}

async function fileStamp(settings: TlsSettings): Promise<string> {
  const parts = [settings.certPath, settings.keyPath].map(async (path) => {
    const { mtimeMs, size, ino } = await stat(path).catch(() => ({ mtimeMs: -1, size: -1, ino: -1 }));
    return `${mtimeMs}:${size}:${ino}`;
  });
  return (await Promise.all(parts)).join(' ');
}
