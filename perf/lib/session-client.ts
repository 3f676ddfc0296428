import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';

/** What an MCP client of revision 2025-11-25 sends, with as little as possible around it. */
const REVISION = '2025-11-25';

export interface SessionJob {
  readonly url: string;
  /** Header lines of one caller. */
  readonly caller: readonly string[];
}

export interface Reply {
  readonly status: number;
  readonly sessionId: string;
  readonly body: string;
}

/** One client: it opens sessions, calls in them, and ends them. */
export class SessionClient {
  readonly #job: SessionJob;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #session: Readonly<Record<string, string>> = {};

  constructor(job: SessionJob) {
    this.#job = job;
  }

  /** Shakes hands under a name. @returns the id of the session; throws when there is none then */
  async begin(name: string): Promise<string> {
    this.#session = {};
    const params = { protocolVersion: REVISION, capabilities: {}, clientInfo: { name, version: '1' } };
    const { status, sessionId, body } = await this.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    if (status !== 200 || sessionId === '') throw new Error(`no session: ${status} ${body.slice(0, 200)}`);
    this.#session = { 'mcp-session-id': sessionId, 'mcp-protocol-version': REVISION };
    const noted = await this.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    if (noted.status !== 202) throw new Error(`a notification got ${noted.status} ${noted.body.slice(0, 200)}`);
    return sessionId;
  }

  async post(message: object): Promise<Reply> {
    return await this.#whole('POST', JSON.stringify(message));
  }

  async end(): Promise<Reply> {
    return await this.#whole('DELETE', '');
  }

  /** Opens the session's stream; resolves once it has begun. */
  async stream(onText: (text: string) => void): Promise<void> {
    const response = await this.#send('GET', '', new Agent());
    if (response.statusCode !== 200) throw new Error(`no stream: ${response.statusCode}`);
    response.setEncoding('utf8').on('data', onText);
  }

  async #whole(method: string, body: string): Promise<Reply> {
    const response = await this.#send(method, body, this.#agent);
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
    return { status: response.statusCode ?? 0, sessionId: String(response.headers['mcp-session-id'] ?? ''), body: text };
  }

  async #send(method: string, body: string, agent: Agent): Promise<IncomingMessage> {
    const own = Object.fromEntries(this.#job.caller.map((line) => line.split(': ', 2) as [string, string]));
    const accept = method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream';
    const type = method === 'POST' ? { 'content-type': 'application/json' } : {};
    return await new Promise((resolve, reject) => {
      request(this.#job.url, { method, agent, headers: { accept, ...type, ...own, ...this.#session } }, resolve)
        .on('error', reject)
        .end(body);
    });
  }
}
