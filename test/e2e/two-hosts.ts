import { randomBytes } from 'node:crypto';
import { freePort } from '../listener/support.ts';
import { type Gateway, keyEntry, startGateway, stdioUpstream, tempDir, type TestKey } from './harness.ts';

/** One of two hosts, with what it takes to start it again. */
export interface Host {
  readonly gateway: Gateway;
  /** `host:port` where the other one reaches it. */
  readonly address: string;
  restart(): Promise<Gateway>;
}

export interface TwoHosts {
  /** Sessions are opened here unless a test says otherwise. */
  readonly near: Host;
  readonly far: Host;
  /** Of all children. */
  readonly recordFile: string;
}

export interface HostsOptions {
  readonly keys: Readonly<Record<string, TestKey>>;
  readonly workers?: number;
  /** Further tables. */
  readonly more?: Readonly<Record<string, unknown>>;
  /** What only the far one has of `server`. */
  readonly farServer?: Readonly<Record<string, unknown>>;
}

export const newSecret = (): string => randomBytes(32).toString('base64');

/** Two gateways on addresses of their own, with one stdio server whose sessions have children of their own. */
export async function startHosts({ keys, workers = 2, more = {}, farServer = {} }: HostsOptions): Promise<TwoHosts> {
  const recordFile = `${await tempDir()}/record`;
  const shared = {
    auth: { api_keys: Object.entries(keys).map(([id, key]) => keyEntry(id, key)) },
    rate_limit: { enabled: false },
    session: { seal_keys: [newSecret()] },
    upstream: { ...stdioUpstream({ recordFile }), name: 'program', isolation: 'session' },
    ...more,
  };
  const peer_secret = newSecret();
  const host = async (address: string, server: object): Promise<Host> => {
    const start = async (): Promise<Gateway> =>
      await startGateway({
        config: { ...shared, server: { workers, admin: { port: 0 }, advertise_address: address, peer_secret, ...server } },
      });
    let gateway = await start();
    return {
      address,
      get gateway() {
        return gateway;
      },
      restart: async () => (gateway = await start()),
    };
  };
  const [near, far] = await Promise.all([host(`127.0.0.1:${await freePort()}`, {}), host(`127.0.0.2:${await freePort()}`, farServer)]);
  return { near, far, recordFile };
}
