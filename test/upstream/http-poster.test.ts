import { describe, expect, it } from 'vitest';
import type { HttpClient, HttpReceiver, HttpRequest } from '../../src/upstream/http-client.ts';
import { HttpPoster } from '../../src/upstream/http-poster.ts';
import { FakeClock } from './fake-clock.ts';

const REQUEST: HttpRequest = { method: 'POST', path: '/', headers: [], body: null };

/** Takes requests until `isBroken`, and answers when told to. */
class Client implements HttpClient {
  isBroken = false;
  readonly receivers: HttpReceiver[] = [];

  send(_request: HttpRequest, receiver: HttpReceiver): { pause(): void; resume(): void; abort(): void } {
    if (this.isBroken) throw new Error('a header cannot be written');
    this.receivers.push(receiver);
    return { pause: () => {}, resume: () => {}, abort: () => {} };
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}

describe('HttpPoster', () => {
  it('has so many under way at once, and room again when one has ended', () => {
    const client = new Client();
    const poster = new HttpPoster(client, new FakeClock(), 2);
    const send = (): boolean => poster.send(REQUEST, 1000, () => undefined);
    expect([send(), send(), send()]).toEqual([true, true, false]);
    client.receivers[0]?.onEnd();
    expect([send(), send()]).toEqual([true, false]);
  });

  it('loses no room to what cannot be written', () => {
    const client = new Client();
    const poster = new HttpPoster(client, new FakeClock(), 2);
    client.isBroken = true;
    for (let i = 0; i < 5; i++) expect(() => poster.send(REQUEST, 1000, () => undefined)).toThrow('cannot be written');
    client.isBroken = false;
    expect(poster.send(REQUEST, 1000, () => undefined)).toBe(true);
  });
});
