import { randomBytes } from 'node:crypto';
import type { ConfigSnapshot, UpstreamSettings } from '../core/config.ts';
import type { MeshAccess } from '../core/messages.ts';
import { SECRET_BYTES } from './mesh-handshake.ts';
import { openPrivateFolder } from './private-socket.ts';

/** What a frame holds beside the largest message: a batch of small ones, ids, keys. */
const FRAME_SLACK_BYTES = 1_048_576;

/** The folder where workers find each other's sockets. */
export interface MeetingPlace {
  readonly access: MeshAccess;
  close(): void;
}

/** Null when no worker needs another. @throws StartError when there is no place for the folder */
export function openMeetingPlace(config: ConfigSnapshot): MeetingPlace | null {
  const slots = config.server.workers;
  if (slots <= 1) return null;
  const folder = openPrivateFolder();
  const access = { folder: folder.path, secret: randomBytes(SECRET_BYTES), slots, maxFrameBytes: largestFrame(config) };
  return { access, close: () => folder.remove() };
}

/** Largest frame that one worker may send another. */
export function largestFrame({ server, upstreams }: ConfigSnapshot): number {
  return Math.max(server.maxRequestBytes, ...upstreams.map(largestMessage)) + FRAME_SLACK_BYTES;
}

function largestMessage({ stdio, maxResponseBytes }: UpstreamSettings): number {
  return stdio?.maxLineBytes ?? maxResponseBytes;
}
