import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type AddressLock, lockAddress, probePort, StartError } from '../../src/process/ports.ts';

const open: Server[] = [];
const locks: AddressLock[] = [];

function listen(reusePort: boolean): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen({ host: '127.0.0.1', port: 0, reusePort, exclusive: true }, () => {
      open.push(server);
      resolve((server.address() as { port: number }).port);
    });
  });
}

afterEach(() => {
  for (const server of open.splice(0)) server.close();
  for (const lock of locks.splice(0)) lock.release();
});

describe('probePort', () => {
  it('chooses a free port when asked for port 0', async () => {
    expect(await probePort('127.0.0.1', 0)).toBeGreaterThan(0);
  });

  it('refuses a port that another program holds, naming it and the remedy', async () => {
    const port = await listen(false);
    await expect(probePort('127.0.0.1', port)).rejects.toThrow(new RegExp(`port ${port} .*already in use.*--port`));
  });

  it('refuses a port that is shared with SO_REUSEPORT, which a plain listener would join silently', async () => {
    const port = await listen(true);
    await expect(probePort('127.0.0.1', port)).rejects.toThrow(StartError);
  });

  it('names the settings when the address is not ours', async () => {
    await expect(probePort('192.0.2.1', 0)).rejects.toThrow(/server\.host/);
  });
});

describe('lockAddress', () => {
  it('lets one gateway hold an address, and the next once it is released', async () => {
    const port = await probePort('127.0.0.1', 0);
    const lock = await lockAddress('127.0.0.1', port);
    await expect(lockAddress('127.0.0.1', port)).rejects.toThrow(/another mcp-guard/);
    lock.release();
    await new Promise((resolve) => setTimeout(resolve, 20));
    locks.push(await lockAddress('127.0.0.1', port));
  });

  it('keeps different addresses apart', async () => {
    const port = await probePort('127.0.0.1', 0);
    locks.push(await lockAddress('127.0.0.1', port), await lockAddress('127.0.0.2', port));
    expect(locks).toHaveLength(2);
  });
});
