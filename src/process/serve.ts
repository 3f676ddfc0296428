import type { ConfigProblem, ConfigSnapshot } from '../core/config.ts';
import { startFault, startStdioFront, type StdioClient } from '../pipeline/build.ts';
import { StartError } from './ports.ts';
import { Primary } from './primary.ts';
import { buildServices } from './services.ts';
import { listenForSignals } from './signals.ts';

/** What the command line hands over. */
export interface ServeOptions {
  readonly snapshot: ConfigSnapshot;
  readonly warnings: readonly ConfigProblem[];
  /** Number of `-v` flags. */
  readonly verbosity: number;
  /** Of the gateway itself. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly client: Omit<StdioClient, 'onEnd'>;
  /** Called once messages are read. */
  readonly onStarted: () => void;
}

/** The client's credential was refused, or it did not read what it was sent. */
const EXIT_ENDED = 1;
const EXIT_FORCED = 130;

/**
 * Runs the whole gateway in this process for the one client that started it, without a listener: until the client closes its
 * end, or a signal.
 * @returns the exit code
 * @throws StartError when it cannot start; nothing is left running then
 */
export async function serveStdio(options: ServeOptions): Promise<number> {
  const snapshot = forOneClient(options.snapshot);
  const fault = startFault(snapshot, options.env) ?? unfit(snapshot, options.client.server);
  if (fault !== null) throw new StartError(fault);
  const stop = listenForSignals();
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<number>();
  const services = await buildServices(snapshot, options.verbosity);
  for (const warning of options.warnings) services.log.warn({ path: warning.path }, warning.message);
  const client: StdioClient = { ...options.client, onEnd: (why) => onEnd(why === 'closed' || why === 'leaving' ? 0 : EXIT_ENDED) };
  const primary = new Primary(snapshot, { port: 0, adminPort: 0 }, services, options.verbosity, (config, _ports, gateway, clock) =>
    Promise.resolve([startStdioFront(config, client, gateway, clock)]),
  );
  try {
    await primary.start();
    options.onStarted();
    const code = await Promise.race([ended, stop.first.then(() => 0)]);
    return await Promise.race([primary.drain().then(() => code), stop.second.then(() => forced(primary))]);
  } finally {
    await primary.close();
    await services.close();
    stop.release();
  }
}

function forced(primary: Primary): number {
  primary.kill();
  return EXIT_FORCED;
}

/** Nobody balances load here, so nothing waits before a drain and no other host is needed; and there is one event loop. */
function forOneClient(snapshot: ConfigSnapshot): ConfigSnapshot {
  const admin = { ...snapshot.server.admin, listen: null };
  return { ...snapshot, server: { ...snapshot.server, workers: 0, drainDelayMs: 0, admin, peers: null } };
}

function unfit({ audit, upstreams, virtuals }: ConfigSnapshot, server: string | null): string | null {
  if (audit.isEnabled && audit.isStdout) return 'audit.stdout cannot be used with serve: standard output belongs to the client';
  const isKnown = upstreams.some(({ name }) => name === server) || virtuals.some(({ path }) => path === `/${server}`);
  if (server !== null && !isKnown) return `there is no server named ${JSON.stringify(server)}`;
  return null;
}
