import type { ConfigSnapshot } from '../core/config.ts';
import type { Problems } from './problems.ts';
import type { Section } from './section.ts';
import { splitAddress } from './syntax.ts';

const UNSPECIFIED: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Hosts that relay sessions to each other: each can be reached, is believed for a reason, and reads the ids of the others. */
export function checkPeers(root: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const server = root.section('server');
  const advertised = server.maybeText('advertise_address');
  if (advertised === null) {
    for (const name of ['peer_secret', 'peer_listen']) {
      if (server.isSet(name)) problems.error(server.at(name), 'means nothing without server.advertise_address');
    }
    return;
  }
  const at = server.at('advertise_address');
  if (!server.isSet('peer_secret')) problems.error(at, 'needs server.peer_secret: anybody could use the sessions of this host');
  if (UNSPECIFIED.has(splitAddress(advertised).host))
    problems.error(at, 'is no address that another host can reach: name one, and give this to server.peer_listen');
  if (snapshot.session.sealKeys === null)
    problems.error(at, 'needs session.seal_keys: other hosts cannot read the ids of sessions without');
  checkListen(server, snapshot, problems);
}

function checkListen(server: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const { peers, host, port, admin } = snapshot.server;
  if (peers === null) return;
  const at = server.at(server.isSet('peer_listen') ? 'peer_listen' : 'advertise_address');
  const { listen } = peers;
  const meets = (other: { readonly host: string; readonly port: number }): boolean =>
    other.port === listen.port && (other.host === listen.host || UNSPECIFIED.has(other.host) || UNSPECIFIED.has(listen.host));
  if (meets({ host, port })) problems.error(at, 'is the same as server.host and server.port');
  if (admin.listen !== null && meets(admin.listen)) problems.error(at, 'is the same as the address of the admin listener');
}
