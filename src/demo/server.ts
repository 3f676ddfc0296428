import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { getPrompt, listPrompts, listResources, readResource } from './catalog.ts';
import { createLineSplitter } from './lines.ts';
import {
  DEMO_REVISIONS,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
  RpcError,
  isMessageId,
  isObject,
  objectMember,
  stringMember,
  type JsonObject,
  type MessageId,
} from './protocol.ts';
import type { SampleFolder } from './sample-folder.ts';
import { CallCancelled, DEMO_TOOLS, ToolError, type ToolContext } from './tools.ts';

const MAX_LINE_BYTES = 4 * 1024 * 1024;
const MAX_BATCH = 100;
const MAX_RUNNING_CALLS = 1000;

export interface DemoServerOptions {
  readonly input: Readable;
  readonly output: Writable;
  readonly clock: Clock;
  readonly folder: SampleFolder;
  /** Reported as `serverInfo.version`. */
  readonly version: string;
}

const CAPABILITIES: JsonObject = { tools: {}, resources: {}, prompts: {} };
const INSTRUCTIONS = 'A demo behind a gateway: list_files and read_file show a few sample files, delete_file is usually denied.';

const TOOLS = new Map(DEMO_TOOLS.map((tool) => [tool.name, tool]));
const TOOL_LIST: JsonObject = {
  tools: DEMO_TOOLS.map(({ name, description, inputSchema, annotations }) => ({ name, description, inputSchema, annotations })),
};

/** One MCP conversation over two streams: legacy revisions, one JSON-RPC message per line. */
class DemoConversation {
  readonly #options: DemoServerOptions;
  readonly #running = new Map<string, AbortController>();
  readonly #pending = new Set<Promise<void>>();

  constructor(options: DemoServerOptions) {
    this.#options = options;
  }

  /** Never throws: a failure that is not the caller's answers -32603 where there is an id, and nothing of it leaks. */
  receive(line: string): void {
    const work = this.#process(line).finally(() => this.#pending.delete(work));
    this.#pending.add(work);
  }

  /** Abandons the calls that still wait, and resolves when the answers of the others are written. */
  async close(): Promise<void> {
    for (const call of this.#running.values()) call.abort();
    await Promise.all(this.#pending);
  }

  async #process(line: string): Promise<void> {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.#send(failure(null, PARSE_ERROR, 'Parse error'));
      return;
    }
    const answer = Array.isArray(message) ? await this.#batch(message) : await this.#single(message);
    if (answer !== null) this.#send(answer);
  }

  oversize(): void {
    this.#send(failure(null, INVALID_REQUEST, 'Message too large'));
  }

  /** Revision 2025-03-26 has batches; the answers go back as one array. */
  async #batch(messages: readonly unknown[]): Promise<unknown> {
    if (messages.length === 0 || messages.length > MAX_BATCH) return failure(null, INVALID_REQUEST, 'Invalid Request');
    const answers = await Promise.all(messages.map((message) => this.#single(message)));
    const present = answers.filter((answer) => answer !== null);
    return present.length === 0 ? null : present;
  }

  async #single(message: unknown): Promise<JsonObject | null> {
    if (!isObject(message) || message['jsonrpc'] !== '2.0') return failure(null, INVALID_REQUEST, 'Invalid Request');
    const { id, method } = message;
    if (typeof method !== 'string')
      return 'result' in message || 'error' in message ? null : failure(null, INVALID_REQUEST, 'Invalid Request');
    if (id === undefined) {
      this.#notified(method, message);
      return null;
    }
    if (!isMessageId(id)) return failure(null, INVALID_REQUEST, 'Invalid Request');
    return await this.#answered(id, method, message);
  }

  #notified(method: string, message: JsonObject): void {
    if (method !== 'notifications/cancelled' || !isObject(message['params'])) return;
    this.#running.get(JSON.stringify(message['params']['requestId']))?.abort();
  }

  async #answered(id: MessageId, method: string, message: JsonObject): Promise<JsonObject | null> {
    try {
      const result = await this.#dispatch(id, method, objectMember(message, 'params'));
      return result === null ? null : { jsonrpc: '2.0', id, result };
    } catch (error) {
      return error instanceof RpcError ? failure(id, error.code, error.message) : failure(id, INTERNAL_ERROR, 'Internal error');
    }
  }

  #dispatch(id: MessageId, method: string, params: JsonObject): Promise<JsonObject | null> | JsonObject {
    switch (method) {
      case 'initialize':
        return this.#initialize(params);
      case 'ping':
        return {};
      case 'tools/list':
        return TOOL_LIST;
      case 'tools/call':
        return this.#call(id, params);
      case 'resources/list':
        return listResources();
      case 'resources/templates/list':
        return { resourceTemplates: [] };
      case 'resources/read':
        return readResource(params);
      case 'prompts/list':
        return listPrompts();
      case 'prompts/get':
        return getPrompt(params);
      default:
        throw new RpcError(METHOD_NOT_FOUND, 'Method not found');
    }
  }

  #initialize(params: JsonObject): JsonObject {
    const asked = stringMember(params, 'protocolVersion');
    return {
      protocolVersion: DEMO_REVISIONS.includes(asked) ? asked : DEMO_REVISIONS[0],
      capabilities: CAPABILITIES,
      serverInfo: { name: 'mcp-guard-demo', title: 'mcp-guard demo server', version: this.#options.version },
      instructions: INSTRUCTIONS,
    };
  }

  /** Null when the call was cancelled: MCP wants no answer then. */
  async #call(id: MessageId, params: JsonObject): Promise<JsonObject | null> {
    const tool = TOOLS.get(stringMember(params, 'name'));
    if (tool === undefined) throw new RpcError(INVALID_PARAMS, 'Unknown tool');
    const args = objectMember(params, 'arguments');
    const context = this.#begin(id, params);
    try {
      const text = await tool.run(args, context);
      return { content: [{ type: 'text', text }] };
    } catch (error) {
      if (error instanceof CallCancelled) return null;
      if (error instanceof ToolError) return { content: [{ type: 'text', text: error.message }], isError: true };
      throw error;
    } finally {
      this.#running.delete(JSON.stringify(id));
    }
  }

  #begin(id: MessageId, params: JsonObject): ToolContext {
    const key = JSON.stringify(id);
    if (this.#running.has(key)) throw new RpcError(INVALID_REQUEST, 'This id is in use');
    if (this.#running.size >= MAX_RUNNING_CALLS) throw new RpcError(INTERNAL_ERROR, 'Too many calls in progress');
    const abort = new AbortController();
    this.#running.set(key, abort);
    const { progressToken } = objectMember(params, '_meta');
    const progress = (done: number, total: number): void => {
      if (!isMessageId(progressToken)) return;
      this.#send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: done, total } });
    };
    return { clock: this.#options.clock, folder: this.#options.folder, progress, signal: abort.signal };
  }

  /** A client that does not read stops being read from, so nothing piles up here. */
  #send(message: unknown): void {
    const { input, output } = this.#options;
    if (output.write(`${JSON.stringify(message)}\n`) || input.isPaused()) return;
    input.pause();
    output.once('drain', () => input.resume());
  }
}

function failure(id: MessageId | null, code: number, message: string): JsonObject {
  return { jsonrpc: '2.0', id, error: { code, message } };
}

/**
 * Serves one client until its input ends; calls that still wait then are dropped. No network, no writes beside
 * `output`.
 */
export async function runDemoServer(options: DemoServerOptions): Promise<void> {
  const conversation = new DemoConversation(options);
  const splitter = createLineSplitter(
    MAX_LINE_BYTES,
    (line) => conversation.receive(line),
    () => conversation.oversize(),
  );
  options.output.on('error', () => options.input.destroy());
  options.input.on('data', (chunk: Buffer) => splitter.push(chunk));
  await new Promise<void>((resolve) => {
    for (const end of ['end', 'close', 'error']) options.input.once(end, () => resolve());
  });
  await conversation.close();
}
