import { describe, expect, it } from 'vitest';
import { createHeadGuard, type HeadGuard } from '../../src/listener/head-guard.ts';
import { application, converse, type EngineName, startEngine, testSettings } from './support.ts';

const BYTES: readonly number[] = Array.from({ length: 256 }, (_, byte) => byte);
const BLANKS = [0x09, 0x20];
const CONTROLS = BYTES.filter((byte) => byte < 0x20 && byte !== 0x09);
const ABOVE_ASCII = BYTES.filter((byte) => byte >= 0x80);
const LANES = 32;
const WAIT_MS = 1000;

/** A guard that keeps what it was given of `x-a`. */
class Recorder implements HeadGuard {
  readonly values: Map<string, string> = new Map();
  readonly #guard = createHeadGuard(testSettings());
  #path = '';

  begin(...[method, path, query, version]: Parameters<HeadGuard['begin']>): void {
    this.#path = path;
    this.#guard.begin(method, path, query, version);
  }

  add(name: string, value: string): void {
    if (name === 'x-a') this.values.set(this.#path, value);
    this.#guard.add(name, value);
  }

  finish(...[peerIp, isSecure]: Parameters<HeadGuard['finish']>): ReturnType<HeadGuard['finish']> {
    return this.#guard.finish(peerIp, isSecure);
  }
}

/** What the guard is given of `edge`, `value` and `edge` again, for every byte as edge; undefined: the parser made no request of it. */
async function valuesByByte(engine: EngineName, value: string): Promise<(string | undefined)[]> {
  const guard = new Recorder();
  const listener = await startEngine(
    engine,
    application((exchange) => exchange.send(204, [], '')),
    {},
    { guard },
  );
  const waiting = [...BYTES];
  const lane = async (): Promise<void> => {
    for (let byte = waiting.shift(); byte !== undefined; byte = waiting.shift()) {
      const client = converse(listener.port);
      const edge = String.fromCharCode(byte);
      client.socket.write(Buffer.from(`GET /${byte} HTTP/1.1\r\nHost: localhost\r\nX-A:${edge}${value}${edge}\r\n\r\n`, 'latin1'));
      // µWS takes a head with a control for one that is not complete yet, and waits for the rest of it.
      await client.until((text) => text.includes('\r\n\r\n'), WAIT_MS).catch(() => undefined);
      client.socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  expect(listener.errors).toEqual([]);
  listener.close();
  return BYTES.map((byte) => guard.values.get(`/${byte}`));
}

/** The bytes at which the guard was given `wanted`. */
function bytesWith(values: readonly (string | undefined)[], wanted: (byte: number) => string | undefined): number[] {
  return BYTES.filter((byte) => values[byte] === wanted(byte));
}

describe('bytes around a header value', () => {
  it('are dropped by µWS where they are blanks or above ASCII, and controls never become a request', async () => {
    const values = await valuesByByte('uws', 'v');
    expect(bytesWith(values, () => undefined)).toEqual(CONTROLS);
    expect(bytesWith(values, () => 'v')).toEqual([...BLANKS, ...ABOVE_ASCII]);
    expect(bytesWith(values, (byte) => `${String.fromCharCode(byte)}v${String.fromCharCode(byte)}`)).toHaveLength(0x7f - 0x20);
  });

  it('reach the guard of the node engine, blanks excepted, and controls are refused', async () => {
    const values = await valuesByByte('node', 'v');
    expect(bytesWith(values, () => undefined)).toEqual([...CONTROLS, 0x7f]);
    expect(bytesWith(values, () => 'v')).toEqual(BLANKS);
  });

  it.each([
    ['uws', [200, 400]],
    ['node', [400, 400]],
  ] as const)(
    'of the headers that decide are refused by %s unless they were dropped, and inside a value always',
    async (engine, expected) => {
      const listener = await startEngine(
        engine,
        application((exchange) => exchange.send(200, [], '')),
      );
      const statusOf = async (line: string): Promise<number> => {
        const client = converse(listener.port);
        const lines = [line, ...(line.startsWith('Host') ? [] : ['Host: localhost'])].join('\r\n');
        client.socket.write(Buffer.from(`GET / HTTP/1.1\r\n${lines}\r\n\r\n`, 'latin1'));
        const text = await client.until((all) => all.includes('\r\n\r\n'));
        client.socket.destroy();
        return Number(text.slice(9, 12));
      };
      for (const [name, value] of [
        ['Host', 'localhost'],
        ['Authorization', 'Bearer token'],
        ['X-API-Key', 'key'],
        ['Origin', 'http://localhost'],
        ['Content-Type', 'application/json'],
        ['Content-Length', '0'],
        ['Connection', 'keep-alive'],
        ['Mcp-Session-Id', 'session'],
        ['Mcp-Name', 'tool'],
      ] as const) {
        for (const edge of ['\x80', '\xff', '\xc3\xa9']) {
          const inside = `${name}: ${value.slice(0, 1)}${edge}${value.slice(0, 1)}`;
          const statuses = [await statusOf(`${name}: ${edge}${value}${edge}`), await statusOf(inside)];
          expect([name, ...statuses]).toEqual([name, ...expected]);
        }
      }
      listener.close();
    },
  );
});
