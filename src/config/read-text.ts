import { readFileSync, statSync } from 'node:fs';

export const MAX_CONFIG_BYTES: number = 4 * 1024 * 1024;
export const MAX_SECRET_BYTES: number = 64 * 1024;

/** A file's text, or why it cannot be had, in words that follow its name. */
export type TextFile = { readonly text: string } | { readonly fault: string };

const FAULTS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'does not exist'],
  ['ENOTDIR', 'does not exist'],
  ['EACCES', 'may not be read by this user'],
  ['EPERM', 'may not be read by this user'],
  ['ELOOP', 'leads through too many links'],
  ['ENAMETOOLONG', 'has too long a name'],
]);

/** Reads a regular UTF-8 file of bounded size. Devices and pipes are refused: reading one could wait for ever. */
export function readTextFile(file: string, maxBytes: number): TextFile {
  try {
    const found = statSync(file);
    if (found.isDirectory()) return { fault: 'is a directory' };
    if (!found.isFile()) return { fault: 'is no regular file' };
    if (found.size > maxBytes) return { fault: `is larger than ${maxBytes} bytes` };
    const bytes = readFileSync(file);
    if (bytes.length > maxBytes) return { fault: `is larger than ${maxBytes} bytes` };
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

function faultOf(error: unknown): string {
  if (error instanceof TypeError) return 'is not valid UTF-8 text';
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return FAULTS.get(code) ?? `cannot be read (${code})`;
}

/** Reads a secret file: one trailing line end is not part of the secret. */
export function readSecretFile(file: string): TextFile {
  const read = readTextFile(file, MAX_SECRET_BYTES);
  if ('fault' in read) return read;
  const text = read.text.replace(/^\uFEFF/, '').replace(/\r?\n$/, '');
  return text === '' ? { fault: 'is empty' } : { text };
}
