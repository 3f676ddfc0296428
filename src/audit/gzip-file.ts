import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { constants as zlibLevels, createGzip } from 'node:zlib';

/** Suffix of a compressed file that is not complete yet. */
export const PARTIAL: string = '.gz.partial';

/**
 * Replaces a file by `<path>.gz` (mode 0600), streaming. The source goes last, after the compressed file is complete and
 * on disk: whatever ends the process in between, the lines exist at least once. Meant for a thread of its own. At the fastest
 * level: the default one costs twice the CPU, a quarter of all at 10,000 calls a second, for files a tenth smaller.
 */
export async function gzipFile(path: string): Promise<void> {
  const partial = path + PARTIAL;
  await rm(partial, { force: true });
  // `wx`: a file or link that somebody else put there is not written through. `flush`: fsync before close.
  const target = createWriteStream(partial, { flags: 'wx', mode: 0o600, flush: true });
  try {
    await pipeline(createReadStream(path), createGzip({ level: zlibLevels.Z_BEST_SPEED }), target);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  await rename(partial, `${path}.gz`);
  await rm(path);
}
