import { dirname, resolve } from 'node:path';
import { generateKey, hashKey } from '../auth/keys.ts';
import type { ApiKeyEntry } from '../config/api-key-entry.ts';
import { appendApiKey } from '../config/append-api-key.ts';
import { parseInstant } from '../config/instant.ts';
import { loadConfigText } from '../config/load.ts';
import { type ConfigFormat, formatOf } from '../config/parse.ts';
import { verifySnapshot } from '../pipeline/verify.ts';
import { resolveExpiry } from './expires.ts';
import { CliError, EXIT_OK, codeOf, printLine, type CliIo, type Globals } from './io.ts';
import { problemLines } from './load.ts';
import { editFile } from './replace-file.ts';

export interface KeygenOptions {
  readonly userId: string;
  readonly rateLimit?: number;
  readonly tools?: readonly string[];
  readonly expires?: string;
  readonly applyToConfig: boolean;
}

/** A configuration that holds nothing but what an entry needs to be judged. */
const BARE = '{"upstream": {"command": "node"}}';

function expiryOf(io: CliIo, text: string): string {
  const nowMs = io.clock.wallMs();
  const expiry = resolveExpiry(text, nowMs);
  const atMs = parseInstant(expiry);
  if (atMs === null) throw new CliError(`--expires ${text}: must be an RFC 3339 time, a date, or a span such as 30d or 12h`);
  if (atMs <= nowMs) throw new CliError(`--expires ${text}: that time has passed`);
  return expiry;
}

function entryOf(io: CliIo, options: KeygenOptions, key: string): ApiKeyEntry {
  return {
    id: options.userId,
    keyHash: hashKey(key),
    allowedTools: options.tools ?? null,
    ...(options.rateLimit === undefined ? {} : { rateLimit: options.rateLimit }),
    ...(options.expires === undefined ? {} : { expiresAt: expiryOf(io, options.expires) }),
  };
}

function appended(text: string, format: ConfigFormat, entry: ApiKeyEntry, file: string): string {
  const edited = appendApiKey(text, format, entry);
  if (typeof edited === 'string') return edited;
  throw new CliError(`${file} was not changed: ${edited.refused}`);
}

/** Throws with every error that `text` would have as a configuration. */
function assertValid(io: CliIo, text: string, format: ConfigFormat, path: string, file: string): void {
  const { env, clock } = io;
  const { problems } = loadConfigText({ text, format, source: path, baseDir: dirname(path), env, verify: verifySnapshot, clock });
  const errors = problems.filter((problem) => problem.severity === 'error');
  if (errors.length > 0) throw new CliError(problemLines(errors, file));
}

/** The entry by itself, as it is pasted; its own faults are found here. */
function snippet(io: CliIo, entry: ApiKeyEntry, format: ConfigFormat): string {
  const label = `--user-id ${entry.id}`;
  assertValid({ ...io, env: {} }, appended(BARE, 'json', entry, label), 'json', io.cwd, label);
  return appended(format === 'json' ? '{}' : '', format, entry, label).trim();
}

async function apply(io: CliIo, entry: ApiKeyEntry, format: ConfigFormat, file: string): Promise<void> {
  const path = resolve(io.cwd, file);
  try {
    await editFile(path, (text) => {
      const edited = appended(text, format, entry, file);
      assertValid(io, edited, format, path, file);
      return edited;
    });
  } catch (error) {
    if (error instanceof CliError || codeOf(error) === '') throw error;
    throw new CliError(`cannot edit ${file}: ${codeOf(error)}`, { cause: error });
  }
}

/** `keygen`: a key for the caller, its hash for the configuration. Nothing is printed unless all of it worked. */
export async function keygen(io: CliIo, { config }: Globals, options: KeygenOptions): Promise<number> {
  const format = formatOf(config);
  if (format === null) throw new CliError(`${config} has no known extension: .toml, .yaml, .yml, .json or .jsonc`);
  const key = generateKey();
  const entry = entryOf(io, options, key);
  const text = snippet(io, entry, format);
  if (options.applyToConfig) await apply(io, entry, format, config);
  printLine(io, `key       ${key}`);
  printLine(io, `key_hash  ${entry.keyHash}`);
  printLine(io, '');
  printLine(io, options.applyToConfig ? `Added to ${config}:` : `Add this to ${config}:`);
  printLine(io, '');
  printLine(io, text);
  printLine(io, '');
  printLine(io, 'The key is shown this once: give it to its user, only the hash is kept.');
  return EXIT_OK;
}
