import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { application, converse, delay, ENGINES, parseAnswers, post, startEngine, type TestListener } from './support.ts';

const MIB = 1_048_576;
const started: TestListener[] = [];
afterEach(() => {
  for (const listener of started.splice(0)) listener.close();
});

/** Sends a request with a body in chunks of `mib` MiB, whatever is answered meanwhile; the answer, and what became of sending. */
function sendOn(port: number, mib: number): Promise<{ readonly text: string; readonly error: string | null }> {
  const client = converse(port);
  const piece = `10000\r\n${' '.repeat(65_536)}\r\n`;
  let pieces = mib * 16;
  let error: string | null = null;
  client.socket.on('error', (cause: NodeJS.ErrnoException) => {
    error = String(cause.code);
  });
  client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
  const push = (): void => {
    while (pieces-- > 0) if (!client.socket.write(piece)) return void client.socket.once('drain', push);
    client.socket.write('0\r\n\r\n');
  };
  push();
  return client.closed().then((text) => ({ text, error }));
}

/** Sends a body of `mib` MiB as `node:http` does without an agent: `Connection: close`; the status, or the error's code. */
function upload(port: number, mib: number, framing: Readonly<Record<string, string>>): Promise<number | string> {
  return new Promise((resolve) => {
    const sent = request({ port, host: '127.0.0.1', path: '/mcp', method: 'POST', agent: false, headers: framing }, (response) => {
      response.on('error', (error: NodeJS.ErrnoException) => resolve(`body: ${error.code}`));
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    const piece = Buffer.alloc(65_536, 0x20);
    let pieces = mib * 16;
    const push = (): void => {
      while (pieces-- > 0) if (!sent.write(piece)) return void sent.once('drain', push);
      sent.end();
    };
    push();
  });
}

describe.each(ENGINES)('an answer that does not wait for the body (%s)', (engine) => {
  async function start(status = 401): Promise<TestListener> {
    const listener = await startEngine(
      engine,
      application((exchange) => exchange.send(status, ['content-type', 'text/plain'], 'no')),
    );
    started.push(listener);
    return listener;
  }

  it.each([1, 2, 3])('reaches a client that sends %i MiB on and asked to close the connection', async (mib) => {
    const { port, errors } = await start();
    const declared = mib === 1 ? 401 : 413;
    for (let round = 0; round < 5; round++) {
      expect(await upload(port, mib, { 'transfer-encoding': 'chunked' })).toBe(401);
      expect(await upload(port, mib, { 'content-length': String(mib * MIB) })).toBe(declared);
    }
    expect(errors).toEqual([]);
  });

  it('lets a client at full speed send all of its 20 MiB, and resets nothing', async () => {
    const { port, errors } = await start();
    for (let round = 0; round < 3; round++) {
      const { text, error } = await sendOn(port, 20);
      expect([parseAnswers(text)[0]?.status, error]).toEqual([401, null]);
    }
    expect(errors).toEqual([]);
  });

  it('does not let a client send without end', async () => {
    const { port } = await start();
    expect((await sendOn(port, 512)).error).toMatch(/ECONNRESET|EPIPE/);
  });

  it('holds no connection for longer than a while when little by little is sent', async () => {
    const { port } = await start();
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
    const timer = setInterval(() => client.socket.write('1\r\nx\r\n'), 100);
    const text = await client.closed(3500).finally(() => clearInterval(timer));
    expect(parseAnswers(text)[0]?.status).toBe(401);
  });

  it('reaches a client whose body the parser gives up on, whatever is wrong with it', async () => {
    const head = 'POST /mcp HTTP/1.1\r\nHost: localhost\r\n';
    // µWS looks at the first bytes of a body before it hands over, and answers a broken one itself.
    const broken = engine === 'uws' ? 400 : 401;
    const { port, errors } = await start();
    for (const [rest, status] of [
      ['Transfer-Encoding: gzip\r\n\r\n', 501],
      ['Transfer-Encoding: identity\r\n\r\nabc', 501],
      ['Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n', broken],
      ['Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef', 401],
    ] as const) {
      for (let round = 0; round < 5; round++) {
        const client = converse(port);
        client.socket.write(head + rest);
        const text = await client.until((all) => all.includes('\r\n\r\n'));
        expect([rest, Number(text.slice(9, 12))]).toEqual([rest, status]);
        client.socket.destroy();
      }
    }
    expect(errors).toEqual([]);
  });

  it('keeps the connection behind a short body, and closes it behind a long one, even when all of it was there', async () => {
    const { port } = await start(429);
    for (const [bytes, isClosed] of [
      [65_536, false],
      [65_537, true],
    ] as const) {
      const client = converse(port);
      client.socket.write(post('x'.repeat(bytes)));
      await client.until((text) => text.endsWith('no'));
      await delay(100);
      expect([parseAnswers(client.text())[0]?.status, client.isClosed()]).toEqual([429, isClosed]);
      client.socket.destroy();
    }
  });

  it('is given after a while to a client that asked to close and sends nothing', async () => {
    const { port } = await start();
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\n');
    expect(parseAnswers(await client.closed(4000))[0]?.status).toBe(401);
  });

  it('is owed to nobody when the client leaves before', async () => {
    const { port, errors } = await start();
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab');
    await delay(50);
    client.socket.resetAndDestroy();
    await delay(50);
    expect(await upload(port, 1, { 'transfer-encoding': 'chunked' })).toBe(401);
    expect(errors).toEqual([]);
  });

  it('of a method that exists nowhere is 501', async () => {
    const { port } = await start();
    const client = converse(port);
    client.socket.write('FOO /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(parseAnswers(await client.closed())[0]?.status).toBe(501);
  });
});
