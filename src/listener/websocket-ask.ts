import { BAD_UPGRADE } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';

/** What a client that asks for a WebSocket has to offer, and what is chosen. */
export const SUBPROTOCOL: string = 'mcp';

/** Sixteen bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;
const VERSION = '13';

/**
 * The headers of one request for a WebSocket (RFC 6455 section 4.2.1), read line by line beside the head guard, which knows
 * nothing of them. Key and version must stand alone; extensions are never accepted.
 */
export class WebSocketAsk {
  key = '';
  #version = '';
  #upgrade = '';
  #connection = '';
  #protocols = '';
  #isRepeated = false;

  /** `name` in lower case. */
  add(name: string, value: string): void {
    if (name === 'sec-websocket-key') this.key = this.#once(this.key, value);
    else if (name === 'sec-websocket-version') this.#version = this.#once(this.#version, value);
    else if (name === 'upgrade') this.#upgrade = value;
    else if (name === 'connection') this.#connection = value;
    else if (name === 'sec-websocket-protocol') this.#protocols += `,${value}`;
  }

  /** Null: a WebSocket it may be. */
  check(): Refusal | null {
    const isSound =
      !this.#isRepeated &&
      KEY.test(this.key) &&
      this.#version === VERSION &&
      this.#upgrade.trim().toLowerCase() === 'websocket' &&
      namesOf(this.#connection.toLowerCase()).includes('upgrade') &&
      namesOf(this.#protocols).includes(SUBPROTOCOL);
    return isSound ? null : BAD_UPGRADE;
  }

  #once(before: string, value: string): string {
    if (before !== '') this.#isRepeated = true;
    return value.trim();
  }
}

function namesOf(list: string): readonly string[] {
  return list.split(',').map((name) => name.trim());
}
