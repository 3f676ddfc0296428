import { describe, expect, it } from 'vitest';
import { BASE, errorsOf, load, snapshotOf, warningsOf } from './support.ts';

const SECRET = 'a secret that is as long as 256 bits need it to be';
const SEAL = `[session]\nseal_keys = ["${SECRET}"]\n`;
const OWN = BASE.replace('command = "server"', 'command = "server"\nisolation = "session"');

function withPeers(lines: string, rest: string = SEAL + OWN): string {
  return `[server]\n${lines}\n${rest}`;
}

const BOTH = `advertise_address = "Gate-1.example:3001"\npeer_secret = "${SECRET}"`;

describe('hosts that relay sessions to each other', () => {
  it('are none without an address', () => {
    expect(snapshotOf(BASE).server.peers).toBeNull();
  });

  it('have an address in lower case, and listen there unless told otherwise', () => {
    expect(snapshotOf(withPeers(BOTH)).server.peers).toEqual({
      advertised: 'gate-1.example:3001',
      listen: { host: 'Gate-1.example', port: 3001 },
      secret: SECRET,
    });
    const elsewhere = snapshotOf(withPeers(`${BOTH}\npeer_listen = "[::]:4001"`)).server.peers;
    expect(elsewhere?.listen).toEqual({ host: '::', port: 4001 });
    expect(warningsOf(load(withPeers(BOTH)))).toEqual([]);
  });

  it.each([
    ['advertise_address = "a.example:1"', 'server.advertise_address needs server.peer_secret: anybody could use the sessions of this host'],
    [`peer_secret = "${SECRET}"`, 'server.peer_secret means nothing without server.advertise_address'],
    ['peer_listen = "127.0.0.1:1"', 'server.peer_listen means nothing without server.advertise_address'],
    [BOTH.replace(SECRET, 'short'), expect.stringContaining('server.peer_secret must have at least 43 characters')],
    [
      BOTH.replace('Gate-1.example', '0.0.0.0'),
      expect.stringContaining('server.advertise_address is no address that another host can reach'),
    ],
    [`${BOTH}\nport = 3001\npeer_listen = "127.0.0.1:3001"`, 'server.peer_listen is the same as server.host and server.port'],
    [`${BOTH}\npeer_listen = "0.0.0.0:9"\nadmin = { port = 9 }`, 'server.peer_listen is the same as the address of the admin listener'],
  ])('%j is an error', (lines, message) => {
    expect(errorsOf(load(withPeers(lines)))).toEqual([message]);
  });

  it('have a port', () => {
    expect(errorsOf(load(withPeers(BOTH.replace(':3001', ''))))).toContain(
      'server.advertise_address must have a port, as in `10.0.0.5:3001`',
    );
  });

  it('need keys that open the ids of the others', () => {
    expect(errorsOf(load(withPeers(BOTH, OWN)))).toEqual([
      'server.advertise_address needs session.seal_keys: other hosts cannot read the ids of sessions without',
    ]);
  });
});
