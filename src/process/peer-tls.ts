import { hkdfSync } from 'node:crypto';
import { type ConnectionOptions, createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';

/** Names the key, not the host: all hosts that relay to each other have the same one. */
const IDENTITY = 'mcp-guard peer 1';
const KEY_BYTES = 32;
/** How long a connection may take to prove that it is of another host. */
const HANDSHAKE_MS = 3000;

/**
 * Hosts talk in TLS 1.3 with a pre-shared key (RFC 8446, 2.2 and 4.2.11) and ephemeral Diffie-Hellman, and in nothing else: either end proves
 * that it knows the secret, a recorded handshake proves nothing, what is changed on the way ends the connection, and who learns the
 * secret later reads nothing of what was said before. There are no certificates that could be had from elsewhere.
 */
const SUITE: { readonly minVersion: 'TLSv1.3'; readonly maxVersion: 'TLSv1.3'; readonly ciphers: string } = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // The hash of the suite must be that of the key, SHA-256.
  ciphers: 'TLS_AES_128_GCM_SHA256',
};

/** 256 bits for these connections alone: the secret itself is never used as a key. */
export function peerKey(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, new Uint8Array(0), IDENTITY, KEY_BYTES));
}

/** Not listening yet; `secureConnection` gives those who have proved themselves. */
export function peerServer(key: Buffer): Server {
  const options: TlsOptions = {
    ...SUITE,
    handshakeTimeout: HANDSHAKE_MS,
    pskCallback: (_socket, identity) => (identity === IDENTITY ? key : null),
  };
  return createServer(options);
}

/** For `tls.connect`. A server that shows a certificate instead of knowing the key is refused, whoever signed it. */
export function peerDial(key: Buffer): ConnectionOptions {
  return {
    ...SUITE,
    pskCallback: () => ({ psk: key, identity: IDENTITY }),
    ca: [],
    rejectUnauthorized: true,
    checkServerIdentity: (_name, certificate) => (Object.keys(certificate ?? {}).length === 0 ? undefined : new Error('a certificate')),
  };
}

/** Asked once the handshake is over: whether the other end has proved that it knows the key. */
export function isProved(socket: TLSSocket): boolean {
  return socket.authorized && socket.getProtocol() === 'TLSv1.3' && Object.keys(socket.getPeerCertificate()).length === 0;
}
