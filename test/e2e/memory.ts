import { readFile } from 'node:fs/promises';
import type { Gateway } from './gateway.ts';

/** With the debugger's help garbage is collected before memory is read; the allocator keeps no spare arenas. */
export const MEASURABLE: Readonly<Record<string, string>> = {
  NODE_OPTIONS: '--inspect=127.0.0.1:0 --max-semi-space-size=1',
  MALLOC_ARENA_MAX: '1',
};

export interface Memory {
  readonly heapBytes: number;
  readonly residentBytes: number;
}

/** Memory of a gateway in one process, started with `MEASURABLE`, after a collection. */
export async function memoryOf(gateway: Gateway): Promise<Memory> {
  const url = /Debugger listening on (ws:\/\/\S+)/.exec(gateway.stderr())?.[1] ?? 'no debugger';
  const socket = new WebSocket(url);
  await answerOf(socket, 'open');
  await ask(socket, 'HeapProfiler.collectGarbage');
  const { usedSize } = (await ask(socket, 'Runtime.getHeapUsage')) as { usedSize: number };
  socket.close();
  return { heapBytes: usedSize, residentBytes: await residentBytes(gateway.pid) };
}

async function ask(socket: WebSocket, method: string): Promise<unknown> {
  const answer = answerOf(socket, 'message');
  socket.send(JSON.stringify({ id: 1, method }));
  const { data } = (await answer) as Event & { readonly data: string };
  return (JSON.parse(data) as { result: unknown }).result;
}

async function answerOf(socket: WebSocket, type: 'open' | 'message'): Promise<Event> {
  return await new Promise((resolve, reject) => {
    socket.addEventListener(type, resolve, { once: true });
    socket.addEventListener('error', reject, { once: true });
  });
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
