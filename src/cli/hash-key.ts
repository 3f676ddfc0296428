import { text } from 'node:stream/consumers';
import { hashKey as hashOf } from '../auth/keys.ts';
import { CliError, EXIT_OK, printLine, type CliIo } from './io.ts';

/** `hash-key KEY`: what `key_hash` holds. `-` reads the key from stdin, which keeps it out of the process list. */
export async function hashKey(io: CliIo, argument: string): Promise<number> {
  const key = argument === '-' ? (await text(io.stdin)).replace(/\r?\n$/, '') : argument;
  if (key === '') throw new CliError('the key is empty');
  printLine(io, hashOf(key));
  return EXIT_OK;
}
