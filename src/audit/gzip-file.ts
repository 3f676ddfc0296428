import { closeSync, fsyncSync, openSync, readSync, writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { constants, crc32, deflateRawSync } from 'node:zlib';

/** Suffix of a compressed file that is not complete yet. */
export const PARTIAL: string = '.gz.partial';

/** About a millisecond of work. */
const PIECE_BYTES = 256 * 1024;
/** RFC 1952 section 2.3: magic, deflate, no flags, no time, fastest algorithm, unknown system. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
/** RFC 1951 section 3.2.3: a last block with nothing in it. */
const LAST_BLOCK = Buffer.from([3, 0]);
const TRAILER_BYTES = 8;
const NO_PAUSE = (): Promise<unknown> => Promise.resolve();
/** Pieces end between blocks; the fastest level costs half of the default one for files a tenth larger. */
const OPTIONS = { level: constants.Z_BEST_SPEED, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: PIECE_BYTES / 4 } as const;

/**
 * Replaces a file by `<path>.gz` (mode 0600), piece by piece. The source goes last, after the compressed file is complete and
 * on disk: whatever ends the process in between, the lines exist at least once. Meant for a thread of its own: it blocks for
 * each piece, and so changes no threads as Node's streams do. `pause` is awaited after each.
 */
export async function gzipFile(path: string, pause: () => Promise<unknown> = NO_PAUSE): Promise<void> {
  const partial = path + PARTIAL;
  await rm(partial, { force: true });
  const source = openSync(path, 'r');
  try {
    await writeTarget(source, partial, pause);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    closeSync(source);
  }
  await rename(partial, `${path}.gz`);
  await rm(path);
}

async function writeTarget(source: number, partial: string, pause: () => Promise<unknown>): Promise<void> {
  // `wx`: a file or link that somebody else put there is not written through.
  const target = openSync(partial, 'wx', 0o600);
  try {
    await deflate(source, target, pause);
    fsyncSync(target);
  } finally {
    closeSync(target);
  }
}

async function deflate(source: number, target: number, pause: () => Promise<unknown>): Promise<void> {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  const trailer = Buffer.alloc(TRAILER_BYTES);
  let sum = 0;
  let total = 0;
  writeFileSync(target, HEADER);
  for (let length = readSync(source, piece); length > 0; length = readSync(source, piece)) {
    const bytes = piece.subarray(0, length);
    sum = crc32(bytes, sum);
    total += length;
    writeFileSync(target, deflateRawSync(bytes, OPTIONS));
    await pause();
  }
  trailer.writeUInt32LE(sum, 0);
  trailer.writeUInt32LE(total % 2 ** 32, 4);
  writeFileSync(target, Buffer.concat([LAST_BLOCK, trailer]));
}
