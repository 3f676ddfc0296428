import type { Application, Exchange } from '../../../src/core/exchange.ts';
import { application, converse, delay, parseAnswers } from '../support.ts';
import { CRLF, type HostileCase } from './case.ts';

/** How the case reaches the gateway. */
export type Route = 'direct' | 'haproxy' | 'nginx';

const QUIET_MS = 300;
/** An answer that has begun is complete when nothing more comes for this long. */
const PAUSE_MS = 40;
const LANES = 24;
const VICTIM = `POST /{id}/victim HTTP/1.1${CRLF}Host: localhost${CRLF}Content-Length: 1${CRLF}${CRLF}v`;
/** The well-formed request that somebody else sends behind a case, on the same connection. */
export const VICTIM_SEEN = 'POST /victim v';
/** The complete request that cases put behind theirs: a proxy, whose view of the first one is clear, may take it as the next. */
const FOLLOW_SEEN = 'GET /smuggled ';
/** The head of a chunked request is seen before its chunks are; without its end, nothing is done with it. */
const UNFINISHED = 'POST /a …';
const TAG = /t[0-9a-z]{7}/;

interface Seen {
  readonly line: string;
  body: string | null;
}

/** What the application was made to run, by the tag of the case. */
export class Witness {
  /** Requests that carry no tag: bytes torn out of their place. */
  readonly strays: string[] = [];
  readonly application: Application;
  readonly #seen: Map<string, Seen[]> = new Map();

  constructor() {
    this.application = application((exchange) => this.#note(exchange));
  }

  of(tag: string): readonly Seen[] {
    return this.#seen.get(tag) ?? [];
  }

  #note(exchange: Exchange): void {
    const { method, path } = exchange.head;
    const tag = TAG.exec(path)?.[0];
    const seen: Seen = { line: `${method} ${tag === undefined ? path : path.replaceAll(`/${tag}`, '')}`, body: null };
    if (tag === undefined) this.strays.push(seen.line);
    else this.#seen.set(tag, [...this.of(tag), seen]);
    exchange.readBody(1_048_576, (body, lost) => {
      if (lost !== null) return exchange.send(lost.status, [], lost.code);
      seen.body = (body ?? Buffer.alloc(0)).toString('latin1').replaceAll(tag ?? '\0', '{id}');
      exchange.send(200, ['content-type', 'text/plain'], `SEEN ${seen.line} ${seen.body}`);
    });
  }
}

export interface Finding {
  readonly name: string;
  /** Null: within what the case lists. */
  readonly smuggled: string | null;
  readonly ran: readonly string[];
  readonly statuses: readonly number[];
}

let lastTag = 0;

/** Runs the cases, some at a time, and judges each. */
export async function runCases(cases: readonly HostileCase[], port: number, route: Route, witness: Witness): Promise<Finding[]> {
  const findings: Finding[] = [];
  const waiting = [...cases];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) findings.push(await runCase(next, port, route, witness));
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return findings;
}

async function runCase(hostile: HostileCase, port: number, route: Route, witness: Witness): Promise<Finding> {
  lastTag += 1;
  const tag = `t${lastTag.toString(36).padStart(7, '0')}`;
  const text = (await talk(hostile, port, tag)).replaceAll(tag, '{id}');
  const ran = witness.of(tag);
  const answers = readAnswers(text, String(hostile.segments[0]).startsWith('HEAD '));
  const allowed = allowedRuns(hostile, route);
  const smuggled = strayRun(ran, allowed) ?? strayAnswer(answers.successes, allowed);
  return {
    name: `${hostile.cause}: ${hostile.name}`,
    smuggled,
    ran: ran.map((seen) => `${seen.line} ${seen.body ?? '…'}`),
    statuses: answers.statuses,
  };
}

/** Sends the segments, then a well-formed request of somebody else, and returns what came back. */
async function talk(hostile: HostileCase, port: number, tag: string): Promise<string> {
  const client = converse(port);
  const grew = async (limitMs: number): Promise<boolean> => {
    const before = client.text().length;
    await client.until((text) => text.length > before, limitMs).catch(() => undefined);
    return client.text().length > before;
  };
  const quiet = async (limitMs: number): Promise<void> => {
    for (let waitMs = limitMs; await grew(waitMs); ) waitMs = PAUSE_MS;
  };
  for (const segment of hostile.segments) {
    if (client.isClosed()) break;
    if (typeof segment === 'number') await quiet(segment);
    else client.socket.write(Buffer.from(segment.replaceAll('{id}', tag), 'latin1'));
  }
  await quiet(QUIET_MS);
  if (!client.isClosed()) {
    client.socket.write(VICTIM.replaceAll('{id}', tag));
    await quiet(QUIET_MS);
    await delay(10);
  }
  client.socket.destroy();
  return client.text();
}

function allowedRuns(hostile: HostileCase, route: Route): string[] {
  const start = hostile.cause.startsWith('chunk') || hostile.cause === 'trailers' ? [UNFINISHED] : [];
  const isFirstRefused = hostile.meaning.length === 0 || hostile.isRefusedDirectly;
  if (route === 'direct') return [...start, ...hostile.contained, ...(isFirstRefused ? [] : [...hostile.meaning, VICTIM_SEEN])];
  const mayFollow = hostile.meaning.length > 0 || hostile.isRefusedDirectly;
  return [...start, ...hostile.meaning, ...(mayFollow ? [FOLLOW_SEEN] : []), VICTIM_SEEN];
}

/** What ran must be a part of what may run, in order. A body that never became complete was never acted on. */
function strayRun(ran: readonly Seen[], allowed: readonly string[]): string | null {
  let at = 0;
  for (const { line, body } of ran) {
    const found = allowed.findIndex((run, i) => i >= at && (body === null ? run.startsWith(`${line} `) : run === `${line} ${body}`));
    if (found < 0) return `ran ${JSON.stringify(`${line} ${body}`)}`;
    at = found + 1;
  }
  return null;
}

function strayAnswer(successes: readonly string[], allowed: readonly string[]): string | null {
  const left = [...allowed];
  for (const body of successes) {
    const at = left.findIndex((run) => body === `SEEN ${run}`);
    if (at < 0) return `answered ${JSON.stringify(body)}`;
    left.splice(at, 1);
  }
  return null;
}

interface Answers {
  readonly statuses: number[];
  /** Bodies of 2xx answers; empty ones (to HEAD) left out. */
  readonly successes: string[];
}

function readAnswers(text: string, isHead: boolean): Answers {
  try {
    const all = parseAnswers(text, isHead ? 1 : 0);
    const successes = all.filter((answer) => answer.status < 300 && answer.body !== '').map((answer) => answer.body);
    return { statuses: all.map((answer) => answer.status), successes };
  } catch {
    // Cut off, or an error page in a form of its own: what matters is in the bytes.
    const statuses = [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map((match) => Number(match[1]));
    return { statuses, successes: statuses.some((status) => status < 300) ? [text] : [] };
  }
}
