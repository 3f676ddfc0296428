import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import type { RotationSettings } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import type { LineTarget } from './line-writer.ts';
import { mendEnd, readStartMs } from './mend.ts';
import { listRotated, prune, removePartial, renameAway } from './rotate.ts';

/** `O_NOFOLLOW`: rotation would rename the link, and in a shared folder a link is somebody else's choice of target. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
const MODE = 0o600;
/** How often it is asked whether the name still means the open file. */
const LOOK_MS = 1000;
/** Wait after a failed rotation. */
const ROTATE_AGAIN_MS = 60_000;

export interface RotatingFileOptions {
  readonly path: string;
  readonly rotation: RotationSettings;
  readonly clock: Clock;
  readonly log: Log;
  /** Replaces a rotated file by its compressed form; `gzipFile` on a thread. Null: rotated files stay as they are. */
  readonly compress: ((path: string) => Promise<void>) | null;
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly inode: number;
  size: number;
  /** When its first line was written; null while empty. */
  startMs: number | null;
}

/**
 * A file that only grows by whole lines, mode 0600, rotated by size and age. A rotation closes nothing before the next
 * file is open, so it can fail without a lost line; a file that was moved away or deleted from outside is opened anew.
 */
export class RotatingFile implements LineTarget {
  readonly #options: RotatingFileOptions;
  #file: OpenFile;
  #nextLookMs = 0;
  #notBeforeMs = 0;
  #upkeep: Promise<void> = Promise.resolve();
  rotations = 0;

  private constructor(options: RotatingFileOptions, file: OpenFile) {
    this.#options = options;
    this.#file = file;
  }

  /** @throws when the file cannot be opened, is not a regular file, or cannot be made private */
  static async open(options: RotatingFileOptions): Promise<RotatingFile> {
    const target = new RotatingFile(options, await openFile(options));
    target.#later(() => target.#tidy());
    return target;
  }

  async prepare(nextBytes: number): Promise<number> {
    await this.#followMoves();
    const { maxBytes } = this.#options.rotation;
    if (this.#isDue(nextBytes)) await this.#rotate();
    return maxBytes === 0 ? Number.POSITIVE_INFINITY : Math.max(maxBytes - this.#file.size, 0);
  }

  async append(bytes: Buffer): Promise<number> {
    const file = this.#file;
    const { bytesWritten } = await file.handle.write(bytes, 0, bytes.length);
    file.startMs ??= this.#options.clock.wallMs();
    file.size += bytesWritten;
    return bytesWritten;
  }

  async close(tornBytes: number): Promise<void> {
    const { handle } = this.#file;
    try {
      if (tornBytes > 0) await handle.truncate((await handle.stat()).size - tornBytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await this.#upkeep;
  }

  #isDue(nextBytes: number): boolean {
    const { maxBytes, maxAgeMs } = this.#options.rotation;
    const { size, startMs } = this.#file;
    const wallMs = this.#options.clock.wallMs();
    if (size === 0 || this.#options.clock.nowMs() < this.#notBeforeMs) return false;
    if (maxBytes > 0 && size + nextBytes > maxBytes) return true;
    return maxAgeMs > 0 && startMs !== null && wallMs - startMs >= maxAgeMs;
  }

  async #rotate(): Promise<void> {
    const { path, clock, log } = this.#options;
    try {
      const rotated = await renameAway(path, clock.wallMs());
      await this.#reopen();
      this.rotations += 1;
      this.#later(() => this.#afterRotation(rotated));
    } catch (error) {
      this.#notBeforeMs = clock.nowMs() + ROTATE_AGAIN_MS;
      log.error({ err: error }, 'audit file could not be rotated, writing on');
    }
  }

  /** Opens what the path means now; the old file is released only when that has worked. */
  async #reopen(): Promise<void> {
    const old = this.#file;
    this.#file = await openFile(this.#options);
    try {
      await old.handle.sync();
    } finally {
      await old.handle.close();
    }
  }

  async #followMoves(): Promise<void> {
    const { clock, path, log } = this.#options;
    if (clock.nowMs() < this.#nextLookMs) return;
    this.#nextLookMs = clock.nowMs() + LOOK_MS;
    const inode = await stat(path).then(
      (found) => found.ino,
      () => -1,
    );
    if (inode === this.#file.inode) return;
    await this.#reopen();
    log.warn({}, 'the audit file was moved or deleted from outside, continued in a new one');
  }

  async #afterRotation(rotated: string): Promise<void> {
    const { compress, path, rotation } = this.#options;
    if (rotation.isCompressed && compress !== null) await compress(rotated);
    await prune(path, rotation.keep);
  }

  /** What a crash left behind: unfinished compressions, files that wait for theirs. */
  async #tidy(): Promise<void> {
    const { compress, path, rotation } = this.#options;
    await removePartial(path);
    if (rotation.isCompressed && compress !== null) {
      for (const file of await listRotated(path)) if (!file.isCompressed) await compress(file.path);
    }
    await prune(path, rotation.keep);
  }

  /** Upkeep happens one after the other, beside the writing. */
  #later(work: () => Promise<void>): void {
    this.#upkeep = this.#upkeep.then(work).catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'rotated audit files could not be looked after');
    });
  }
}

async function openFile(options: RotatingFileOptions): Promise<OpenFile> {
  const { path, log } = options;
  const handle = await open(path, FLAGS, MODE).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ELOOP' ? 'it is a symbolic link, name the file itself' : (error.code ?? 'unknown error');
    throw new Error(`audit file ${path} cannot be opened: ${why}`, { cause: error });
  });
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new Error(`audit file ${path} is not a regular file`);
    await makePrivate(handle, found.mode, options);
    const size = await mendEnd(handle, found.size, log);
    return { handle, inode: found.ino, size, startMs: size === 0 ? null : ((await readStartMs(handle)) ?? found.birthtimeMs) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function makePrivate(handle: FileHandle, mode: number, options: RotatingFileOptions): Promise<void> {
  if ((mode & 0o077) === 0) return;
  try {
    await handle.chmod(MODE);
  } catch (error) {
    throw new Error(`audit file ${options.path} is accessible to others and its mode cannot be set to 0600`, { cause: error });
  }
  options.log.warn({ path: options.path }, 'the audit file was accessible to others, its mode is 0600 now');
}
