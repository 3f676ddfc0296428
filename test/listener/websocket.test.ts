import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { MessageSocket, SocketListener } from '../../src/core/message-socket.ts';
import type { ListenerSettings } from '../../src/listener/settings.ts';
import { application, converse, delay, ENGINES, type EngineName, get, post, startEngine, type TestListener } from './support.ts';

const listeners: TestListener[] = [];
const clients: WebSocket[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.terminate();
  for (const listener of listeners.splice(0)) listener.close();
});

interface Heard {
  readonly sockets: MessageSocket[];
  readonly messages: (string | null)[];
  readonly drains: number[];
  closes: number;
  leaves: number;
}

/** Takes every WebSocket that is asked for and notes what it hears; everything else is answered 200. */
async function start(
  engine: EngineName,
  overrides: Partial<ListenerSettings> = {},
  onMessage: (socket: MessageSocket, message: string | null) => void = (socket, message) => void socket.send(`echo ${message}`),
): Promise<{ readonly listener: TestListener; readonly heard: Heard; readonly url: string; readonly refused: () => readonly string[] }> {
  const heard: Heard = { sockets: [], messages: [], drains: [], closes: 0, leaves: 0 };
  const opened = (socket: MessageSocket): SocketListener => {
    heard.sockets.push(socket);
    return {
      onMessage: (bytes) => {
        const message = bytes === null ? null : bytes.toString();
        heard.messages.push(message);
        onMessage(socket, message);
      },
      onDrain: () => void heard.drains.push(performance.now()),
      onLeaving: () => {
        heard.leaves += 1;
        socket.close(1001, 'going');
      },
      onClose: () => void (heard.closes += 1),
    };
  };
  const served = application((exchange) => {
    if (exchange.upgrade === undefined) exchange.send(200, [], exchange.head.path);
    else exchange.upgrade(opened);
  });
  const listener = await startEngine(engine, served, { isWebSocketEnabled: true, ...overrides });
  listeners.push(listener);
  const refused = (): readonly string[] => served.refusals.map(({ code }) => code);
  return { listener, heard, url: `ws://127.0.0.1:${listener.port}/ws`, refused };
}

async function connect(url: string): Promise<WebSocket> {
  const client = new WebSocket(url, ['mcp'], { perMessageDeflate: false });
  clients.push(client);
  client.on('error', () => undefined);
  await once(client, 'open');
  return client;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    if (waited > 20_000) throw new Error(`in vain: ${what}`);
    await delay(10);
  }
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ASK: readonly string[] = [
  'Connection: keep-alive, Upgrade',
  'Upgrade: websocket',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: graphql, mcp',
];
const without = (name: string): readonly string[] => ASK.filter((line) => !line.startsWith(name));

describe.each(ENGINES)('WebSockets of the %s engine', (engine) => {
  it('carry text both ways, whatever its size, and say when a message is binary', async () => {
    const { url, heard, listener } = await start(engine);
    const client = await connect(url);
    const received: string[] = [];
    client.on('message', (data) => received.push((data as Buffer).toString()));
    const large = 'ü'.repeat(400_000);
    client.send('one');
    client.send(large);
    await until(() => received.length === 2, 'both echoes');
    expect(received).toEqual(['echo one', `echo ${large}`]);
    client.send(Buffer.from('x'), { binary: true });
    await until(() => heard.messages.length === 3, 'the binary one');
    expect(heard.messages[2]).toBeNull();
    expect(listener.errors).toEqual([]);
  });

  it('answer each of a thousand that open one after the other, with nobody else there to wake them', async () => {
    const { url } = await start(engine);
    for (let index = 0; index < 1000; index++) {
      const client = new WebSocket(url, ['mcp'], { perMessageDeflate: false, headers: { pad: 'y'.repeat(index % 700) } });
      clients.push(client);
      client.once('open', () => client.send('hello'));
      await once(client, 'message');
      if (index % 3 !== 0) client.terminate();
    }
    expect(clients).toHaveLength(1000);
  });

  it('count as connections as long as they are open, also for their address', async () => {
    const { url, listener, heard } = await start(engine, { maxConnectionsPerIp: 3 });
    const three = await Promise.all([connect(url), connect(url), connect(url)]);
    expect(listener.connections).toBe(3);
    const fourth = new WebSocket(url, ['mcp']);
    await once(fourth, 'error');
    for (const client of three) client.close();
    await until(() => listener.connections === 0 && heard.closes === 3, 'all are closed');
    const refused = converse(listener.port);
    refused.socket.write(get('/ws', without('Sec-WebSocket-Protocol')));
    expect(await refused.closed()).toMatch(/^HTTP\/1.1 400 /);
    await until(() => listener.connections === 0, 'the refused one is gone');
    await Promise.all([connect(url), connect(url), connect(url)]);
    expect(listener.connections).toBe(3);
  });

  // What node:http takes for an ordinary request is answered as one: no WebSocket either way.
  it.each([
    ['no version', without('Sec-WebSocket-Version')],
    ['another version', [...without('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 8']],
    ['two keys', [...ASK, `Sec-WebSocket-Key: ${KEY}`]],
    ['a key that is none', [...without('Sec-WebSocket-Key'), 'Sec-WebSocket-Key: ************************']],
    ['no subprotocol', without('Sec-WebSocket-Protocol')],
    ['no word of an upgrade', without('Upgrade')],
    ['a connection that is not to change', [...without('Connection'), 'Connection: keep-alive']],
  ])('are refused to who asks with %s', async (_what, headers) => {
    const { listener, heard } = await start(engine);
    const client = converse(listener.port);
    client.socket.write(get('/ws', headers));
    const answer = await client.closed();
    expect(answer).toMatch(/^HTTP\/1.1 (?:400|200) /);
    expect(answer.toLowerCase()).toContain('x-content-type-options: nosniff');
    expect(heard.sockets).toEqual([]);
  });

  it('are nothing but a header on other paths and methods, and where they are not served', async () => {
    const { listener, heard } = await start(engine);
    const elsewhere = converse(listener.port);
    elsewhere.socket.write(get('/wss', ASK));
    expect(await elsewhere.until((text) => text.endsWith('/wss'))).toMatch(/^HTTP\/1.1 200 /);
    const posted = converse(listener.port);
    posted.socket.write(post('x', [...ASK], '/ws'));
    expect(await posted.until((text) => text.endsWith('/ws'))).toMatch(/^HTTP\/1.1 200 /);
    const off = await start(engine, { isWebSocketEnabled: false });
    const client = converse(off.listener.port);
    client.socket.write(get('/ws', ASK));
    expect(await client.until((text) => text.endsWith('/ws'))).toMatch(/^HTTP\/1.1 200 /);
    expect([...heard.sockets, ...off.heard.sockets]).toEqual([]);
  });

  it('pass the guard of every request first', async () => {
    const { listener, refused, heard } = await start(engine);
    const client = converse(listener.port);
    client.socket.write(get('/ws', [...ASK, 'Origin: https://evil.example']));
    expect(await client.closed()).toMatch(/^HTTP\/1.1 403 /);
    expect([refused(), heard.sockets]).toEqual([['ORIGIN_DENIED'], []]);
  });

  it('survive frames that come together with the head', async () => {
    const { listener, heard, url } = await start(engine);
    const client = converse(listener.port);
    const frame = Buffer.concat([Buffer.from([0x81, 0x82, 0, 0, 0, 0]), Buffer.from('hi')]);
    client.socket.write(Buffer.concat([Buffer.from(get('/ws', ASK)), frame]));
    await client.until((text) => text.includes('echo hi') || text.includes(' 101 '));
    const other = await connect(url);
    other.send('still here');
    const [data] = (await once(other, 'message')) as [Buffer];
    expect(data.toString()).toBe('echo still here');
    expect(heard.messages.at(-1)).toBe('still here');
    expect(listener.errors).toEqual([]);
  });

  it('tell a slow reader from a quick one, and drop one in front of which too much waits', async () => {
    const { url, heard } = await start(engine, { maxBufferedBytes: 262_144 }, () => undefined);
    const client = await connect(url);
    client.pause();
    const [socket] = heard.sockets as [MessageSocket];
    const piece = 'x'.repeat(65_536);
    let sent = 0;
    while (socket.send(piece) && sent < 2000) {
      sent += 1;
      await delay(0);
    }
    expect(sent).toBeLessThan(2000);
    for (let more = 0; more < 16 && heard.closes === 0; more++) socket.send(piece);
    await until(() => heard.closes === 1, 'it is dropped');
    expect(socket.send('ignored')).toBe(true);
  });

  it('go on when a slow reader reads again', async () => {
    const { url, heard } = await start(engine, {}, () => undefined);
    const client = await connect(url);
    let bytes = 0;
    client.on('message', (data) => (bytes += (data as Buffer).length));
    client.pause();
    const [socket] = heard.sockets as [MessageSocket];
    let sent = 1;
    while (socket.send('x'.repeat(65_536)) && sent < 2000) {
      sent += 1;
      await delay(0);
    }
    client.resume();
    await until(() => heard.drains.length === 1 && bytes === sent * 65_536, 'everything arrives');
    expect(heard.closes).toBe(0);
  });

  it('drop a reader that takes nothing for too long', async () => {
    const { url, heard } = await start(engine, { stallMs: 200 }, () => undefined);
    const client = await connect(url);
    client.pause();
    const [socket] = heard.sockets as [MessageSocket];
    while (socket.send('x'.repeat(65_536))) await delay(0);
    await until(() => heard.closes === 1, 'it is dropped');
    expect(heard.closes).toBe(1);
  });

  it('report what a listener throws, and end its socket only', async () => {
    const { url, listener } = await start(engine, {}, (socket, message) => {
      if (message === 'throw') throw new Error('of a test');
      socket.send(`echo ${message}`);
    });
    const [good, bad] = [await connect(url), await connect(url)];
    bad.send('throw');
    await until(() => listener.errors.length === 1, 'it is reported');
    good.send('on');
    const [data] = (await once(good, 'message')) as [Buffer];
    expect(data.toString()).toBe('echo on');
  });

  it('end with 1001 when the listener stops accepting, and when it closes', async () => {
    const { url, listener, heard } = await start(engine);
    const client = await connect(url);
    const closed = once(client, 'close');
    listener.stopAccepting();
    expect((await closed)[0]).toBe(1001);
    await until(() => heard.closes === 1, 'it is told');
    expect(heard.leaves).toBe(1);
  });
});
