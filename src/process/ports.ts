import { createServer, type Server } from 'node:net';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';

/** A start-up failure that the operator can mend; the message says how. */
export class StartError extends Error {}

/** Holds an address for this gateway until `release`; the kernel frees it when the process dies, however it dies. */
export interface AddressLock {
  release(): void;
}

/** On Linux an abstract socket (no file to go stale), elsewhere a socket file. */
function lockPath(host: string, port: number): string {
  const name = `mcp-guard-${host}-${port}`;
  return platform() === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.lock`);
}

function listenOnce(target: { path: string } | { host: string; port: number }): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ ...target, exclusive: true }, () => resolve(server));
  });
}

/** Node's error code, or an empty string. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/**
 * Makes sure that nobody else listens: µWS binds with SO_REUSEPORT, so a second gateway would silently share the traffic.
 * A plain bind fails while any other socket holds the address.
 * @returns the port, chosen by the system when 0 was asked for
 */
export async function probePort(host: string, port: number): Promise<number> {
  let server: Server;
  try {
    server = await listenOnce({ host, port });
  } catch (error) {
    throw bindError(host, port, error);
  }
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : port;
}

/** The operator's view of a failed bind. */
export function bindError(host: string, port: number, error: unknown): StartError {
  const code = codeOf(error);
  if (code === 'EADDRINUSE') {
    return new StartError(`port ${port} on ${host} is already in use: stop the other program or choose another port with --port`, {
      cause: error,
    });
  }
  if (code === 'EACCES') {
    return new StartError(`no permission to listen on ${host}:${port}: use a port above 1023 or grant CAP_NET_BIND_SERVICE`, {
      cause: error,
    });
  }
  return new StartError(`cannot listen on ${host}:${port} (${code}): check server.host and server.port`, { cause: error });
}

/** Takes the exclusive lock of an address, held for as long as the gateway runs. */
export async function lockAddress(host: string, port: number): Promise<AddressLock> {
  try {
    const server = await listenOnce({ path: lockPath(host, port) });
    server.unref();
    return { release: () => void server.close() };
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw error;
    throw new StartError(`another mcp-guard already serves ${host}:${port}: stop it or choose another port with --port`, { cause: error });
  }
}
