import type { ConfigProblem, ConfigSnapshot } from '../core/config.ts';
import { startFault } from '../pipeline/build.ts';
import { lockAddress, probePort, StartError } from './ports.ts';
import { type Addresses, Primary } from './primary.ts';
import { buildServices } from './services.ts';
import { listenForSignals } from './signals.ts';

/** What the command line hands over. */
export interface RunOptions {
  readonly snapshot: ConfigSnapshot;
  readonly warnings: readonly ConfigProblem[];
  /** Number of `-v` flags. */
  readonly verbosity: number;
  /** Lines for stdout once everything listens. */
  readonly banner: (port: number, adminPort: number) => readonly string[];
}

/** Exit code of a gateway that was forced to end by a second signal. */
const FORCED_EXIT = 130;

/**
 * Runs the gateway until a signal ends it.
 * @returns the exit code: 0 after a drain, 130 when forced
 * @throws StartError when it cannot start; nothing is left running then
 */
export async function runGateway(options: RunOptions): Promise<number> {
  const { snapshot } = options;
  const { host } = snapshot.server;
  const fault = startFault(snapshot, process.env);
  if (fault !== null) throw new StartError(fault);
  const stop = listenForSignals();
  const addresses = await chooseAddresses(snapshot);
  const locks = await Promise.all([lockAddress(host, addresses.port), adminLock(snapshot, addresses)]);
  const services = await buildServices(snapshot, options.verbosity);
  for (const warning of options.warnings) services.log.warn({ path: warning.path }, warning.message);
  const primary = new Primary(snapshot, addresses, services, options.verbosity);
  try {
    await primary.start();
    process.stdout.write(`${options.banner(addresses.port, addresses.adminPort).join('\n')}\n`);
    await stop.first;
    services.log.info({}, 'draining');
    return await Promise.race([primary.drain().then(() => 0), stop.second.then(() => forced(primary))]);
  } finally {
    await primary.close();
    await services.close();
    for (const lock of locks) lock?.release();
    stop.release();
  }
}

function forced(primary: Primary): number {
  primary.kill();
  return FORCED_EXIT;
}

async function chooseAddresses(snapshot: ConfigSnapshot): Promise<Addresses> {
  const { host, port, admin } = snapshot.server;
  const main = await probePort(host, port);
  const adminPort = admin.listen === null ? 0 : await probePort(admin.listen.host, admin.listen.port);
  return { port: main, adminPort };
}

function adminLock(snapshot: ConfigSnapshot, addresses: Addresses): ReturnType<typeof lockAddress> | null {
  const { listen } = snapshot.server.admin;
  return listen === null ? null : lockAddress(listen.host, addresses.adminPort);
}
