import type { Clock } from '../core/clock.ts';
import type { JsonObject } from './protocol.ts';
import { SampleFolderError, type SampleFolder } from './sample-folder.ts';

const MAX_DELAY_MS = 600_000;
const MAX_STEPS = 100;

/** What a tool may use while it runs. */
export interface ToolContext {
  readonly clock: Clock;
  readonly folder: SampleFolder;
  /** Does nothing when the caller asked for no progress. */
  progress(done: number, total: number): void;
  /** Aborted by `notifications/cancelled` and at the end of the conversation. */
  readonly signal: AbortSignal;
}

/** A tool of the demo server. `run` returns the text of its answer; a `ToolError` becomes a result with `isError`. */
export interface DemoTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: JsonObject;
  readonly annotations: JsonObject;
  run(args: JsonObject, context: ToolContext): Promise<string> | string;
}

/** A failure that the model should see (MCP 2025-11-25, server/tools, error handling). */
export class ToolError extends Error {}

/** The call was abandoned: nobody waits for an answer. */
export class CallCancelled extends Error {}

const DRAFT = 'http://json-schema.org/draft-07/schema#';
const READ_ONLY: JsonObject = { readOnlyHint: true, openWorldHint: false };

function schema(properties: JsonObject, required: readonly string[]): JsonObject {
  return { $schema: DRAFT, type: 'object', properties, required, additionalProperties: false };
}

function text(args: JsonObject, name: string): string {
  const value = args[name];
  if (typeof value !== 'string') throw new ToolError(`${name} must be a string`);
  return value;
}

function number(args: JsonObject, name: string): number {
  const value = args[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new ToolError(`${name} must be a number`);
  return value;
}

function integer(args: JsonObject, name: string, min: number, max: number): number {
  const value = number(args, name);
  if (!Number.isInteger(value) || value < min || value > max) throw new ToolError(`${name} must be a whole number from ${min} to ${max}`);
  return value;
}

async function wait(context: ToolContext, delayMs: number): Promise<void> {
  const { clock, signal } = context;
  await new Promise<void>((resolve, reject) => {
    if (signal.aborted) return reject(new CallCancelled());
    const stop = (): void => {
      timer.cancel();
      reject(new CallCancelled());
    };
    const timer = clock.after(delayMs, () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    signal.addEventListener('abort', stop, { once: true });
  });
}

async function slow(args: JsonObject, context: ToolContext): Promise<string> {
  const delayMs = integer(args, 'ms', 0, MAX_DELAY_MS);
  const steps = args['steps'] === undefined ? 4 : integer(args, 'steps', 1, MAX_STEPS);
  const pieceMs = delayMs / (steps + 1);
  for (let step = 1; step <= steps; step++) {
    await wait(context, pieceMs);
    context.progress(step, steps);
  }
  // The last report must not share a read with the answer: clients drop progress of a call that is over.
  await wait(context, pieceMs);
  return `waited ${delayMs} ms`;
}

async function inFolder(work: Promise<string>): Promise<string> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof SampleFolderError) throw new ToolError(error.message);
    throw error;
  }
}

async function listFiles(args: JsonObject, context: ToolContext): Promise<string> {
  const path = args['path'] === undefined ? '' : text(args, 'path');
  const entries = await context.folder.list(path);
  return entries.map(({ name, kind }) => (kind === 'folder' ? `${name}/` : name)).join('\n');
}

async function deleteFile(args: JsonObject, context: ToolContext): Promise<string> {
  const path = text(args, 'path');
  await context.folder.assertExists(path);
  return `${path} would be deleted; the demo server never deletes anything`;
}

const PATH: JsonObject = { type: 'string', maxLength: 512, description: 'Path relative to the sample folder' };

/** In the order of `tools/list`. */
export const DEMO_TOOLS: readonly DemoTool[] = [
  {
    name: 'echo',
    description: 'Returns the message it was given.',
    inputSchema: schema({ message: { type: 'string', description: 'What to return' } }, ['message']),
    annotations: READ_ONLY,
    run: (args) => text(args, 'message'),
  },
  {
    name: 'add',
    description: 'Adds two numbers.',
    inputSchema: schema({ a: { type: 'number' }, b: { type: 'number' } }, ['a', 'b']),
    annotations: READ_ONLY,
    run: (args) => String(number(args, 'a') + number(args, 'b')),
  },
  {
    name: 'slow',
    description: 'Answers after a delay and reports progress on the way when the caller asks for it.',
    inputSchema: schema(
      {
        ms: { type: 'integer', minimum: 0, maximum: MAX_DELAY_MS, description: 'Delay in milliseconds' },
        steps: { type: 'integer', minimum: 1, maximum: MAX_STEPS, description: 'Progress reports on the way, 4 by default' },
      },
      ['ms'],
    ),
    annotations: READ_ONLY,
    run: slow,
  },
  {
    name: 'list_files',
    description: 'Lists a folder of the bundled sample files.',
    inputSchema: schema({ path: PATH }, []),
    annotations: READ_ONLY,
    run: (args, context) => inFolder(listFiles(args, context)),
  },
  {
    name: 'read_file',
    description: 'Reads one of the bundled sample files.',
    inputSchema: schema({ path: PATH }, ['path']),
    annotations: READ_ONLY,
    run: (args, context) => inFolder(context.folder.read(text(args, 'path'))),
  },
  {
    name: 'delete_file',
    description: 'Says which sample file it would delete. A tool that a policy should deny.',
    inputSchema: schema({ path: PATH }, ['path']),
    annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
    run: (args, context) => inFolder(deleteFile(args, context)),
  },
];
