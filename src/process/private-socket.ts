import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartError } from './ports.ts';

/** What a kernel takes as the name of a Unix socket. */
const MAX_PATH_BYTES = 100;

/** A Unix socket in a folder that only this user may enter. */
export interface PrivateSocket {
  readonly path: string;
  /** Stops listening and removes the folder; connections are the caller's to end. */
  close(): void;
}

/** A folder that only this user may enter, for sockets. */
export interface PrivateFolder {
  readonly path: string;
  remove(): void;
}

/**
 * A new folder of mode 0700, which is removed when the process ends, unless it is killed.
 * @throws StartError when there is no place to write to
 */
export function openPrivateFolder(): PrivateFolder {
  const path = makeFolder();
  const removeNow = (): void => rmSync(path, { recursive: true, force: true });
  process.once('exit', removeNow);
  return {
    path,
    remove: () => {
      process.off('exit', removeNow);
      removeNow();
    },
  };
}

/**
 * Listens in a new private folder.
 * @throws StartError when there is no folder to write to
 */
export async function listenPrivately(maxConnections: number, onConnection: (socket: Socket) => void): Promise<PrivateSocket> {
  const folder = openPrivateFolder();
  const path = join(folder.path, 'limits');
  const server = createServer(onConnection);
  server.maxConnections = maxConnections;
  try {
    await listening(server, path);
  } catch (error) {
    folder.remove();
    throw new StartError(`cannot listen on a socket in ${folder.path}: set TMPDIR to a folder on a local disk`, { cause: error });
  }
  return {
    path,
    close: () => {
      server.close();
      folder.remove();
    },
  };
}

/** Resolves when the server listens there. */
export function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      // A connection that cannot be accepted is the business of who tried.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

/** The usual place for temporary files, or memory where that is read-only, as in a locked-down container. */
function makeFolder(): string {
  const places = platform() === 'linux' ? [tmpdir(), '/dev/shm'] : [tmpdir()];
  let cause: unknown = null;
  for (const place of places) {
    if (Buffer.byteLength(place) > MAX_PATH_BYTES - '/mcp-guard-XXXXXX/limits'.length) continue;
    try {
      return mkdtempSync(join(place, 'mcp-guard-'));
    } catch (error) {
      cause = error;
    }
  }
  throw new StartError(`no folder for a socket in ${places.join(' or ')}: set TMPDIR to a short path that can be written to`, { cause });
}
