import { connect, type Socket } from 'node:net';

export interface LoadTarget {
  readonly host: string;
  readonly port: number;
}

export interface LoadOptions {
  /** Connections are opened to each in turn. */
  readonly targets: readonly LoadTarget[];
  readonly connections: number;
  /** Sent evenly, as long as a connection is free: what finds none is not made up for later than a second. */
  readonly perSecond: number;
  /** The whole request with this number, head and body; its answer must have a `Content-Length`. */
  readonly request: (index: number) => string;
}

export interface LoadAnswer {
  readonly index: number;
  readonly status: number;
  /** When it was sent and answered: milliseconds of the machine's monotonic clock, as `decided_ms` of the audit trail. */
  readonly sentMs: number;
  readonly ms: number;
}

export interface Load {
  readonly sent: number;
  /** Those that were answered so far. A connection that is lost is opened again, its request stays unanswered. */
  readonly answers: readonly LoadAnswer[];
  /** Sends no more; resolves when what was sent is answered, or after a second. */
  stop(): Promise<void>;
}

const TICK_MS = 4;
const RECONNECT_MS = 20;
const HEAD_END = '\r\n\r\n';
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/** Milliseconds of the clock that all processes of the machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Length of the first whole answer in `text`, 0 when it is not complete. */
function answerLength(text: string): number {
  const head = text.indexOf(HEAD_END);
  if (head < 0) return 0;
  const length = head + HEAD_END.length + Number(LENGTH.exec(text.slice(0, head + 2))?.[1] ?? 0);
  return text.length < length ? 0 : length;
}

/** A steady demand over kept connections, one request at a time on each, at a fraction of an HTTP client's cost. */
export function startLoad(options: LoadOptions): Load {
  const { targets, connections, perSecond, request } = options;
  const answers: LoadAnswer[] = [];
  const free: Socket[] = [];
  const sockets = new Set<Socket>();
  const pending = new Map<Socket, { readonly index: number; readonly sentMs: number }>();
  let sent = 0;
  let due = 0;
  let lastMs = machineMs();
  let isOver = false;

  function open(target: LoadTarget): void {
    const socket = connect({ ...target, noDelay: true });
    let text = '';
    sockets.add(socket);
    socket.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
      if (answerLength(text) === 0) return;
      const asked = pending.get(socket);
      if (asked !== undefined) answers.push({ ...asked, status: Number(text.slice(9, 12)), ms: machineMs() });
      const isKept = !/\r\nconnection: *close/i.test(text);
      text = '';
      pending.delete(socket);
      if (isKept) free.push(socket);
      else socket.destroy();
    });
    socket.on('connect', () => free.push(socket)).on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      pending.delete(socket);
      if (!isOver) setTimeout(() => isOver || open(target), RECONNECT_MS);
    });
  }

  function send(): void {
    const nowMs = machineMs();
    due = Math.min(due + ((nowMs - lastMs) / 1000) * perSecond, perSecond);
    lastMs = nowMs;
    while (due >= 1) {
      const socket = free.shift();
      if (socket === undefined) return;
      if (socket.destroyed) continue;
      due -= 1;
      pending.set(socket, { index: sent, sentMs: nowMs });
      socket.write(request(sent));
      sent += 1;
    }
  }

  for (let at = 0; at < connections; at++) open(targets[at % targets.length] as LoadTarget);
  const ticking = setInterval(send, TICK_MS);
  return {
    get sent() {
      return sent;
    },
    answers,
    async stop() {
      clearInterval(ticking);
      isOver = true;
      for (let turn = 0; turn < 50 && pending.size > 0; turn++) await new Promise((resolve) => setTimeout(resolve, 20));
      for (const socket of sockets) socket.destroy();
    },
  };
}
