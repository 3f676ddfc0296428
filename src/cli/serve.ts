import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { StartError } from '../process/ports.ts';
import { serveStdio } from '../process/serve.ts';
import { bannerLines } from './banner.ts';
import { CliError, type CliIo, type Globals } from './io.ts';
import { loadSnapshot } from './load.ts';

export interface ServeFlags {
  readonly server: string | undefined;
  readonly keyFile: string | undefined;
  /** `MCP_GUARD_KEY`. */
  readonly key: string | undefined;
}

/** `serve`: the gateway for the MCP client that started this process, on its standard input and output. */
export async function serve(io: CliIo, globals: Globals, flags: ServeFlags): Promise<number> {
  const { snapshot, warnings } = loadSnapshot(io, globals.config);
  const client = { stdin: io.stdin, stdout: io.stdout, key: keyOf(io, flags), server: flags.server ?? null };
  const own = { ...snapshot, server: { ...snapshot.server, workers: 0 } };
  const onStarted = (): void => {
    io.stderr.write(`${bannerLines(own, 0, 0, 'stdio of the client that started it').join('\n')}\n`);
  };
  try {
    return await serveStdio({ snapshot, warnings, verbosity: globals.verbosity, env: io.env, client, onStarted });
  } catch (error) {
    if (error instanceof StartError) throw new CliError(error.message, { cause: error });
    throw error;
  }
}

/** Never an argument: those can be read by every user of the machine. */
function keyOf(io: CliIo, { key, keyFile }: ServeFlags): string | null {
  if (keyFile === undefined) return key ?? null;
  if (key !== undefined) throw new CliError('give the key by --key-file or by MCP_GUARD_KEY, not by both');
  try {
    return readFileSync(resolve(io.cwd, keyFile), 'utf8').trim();
  } catch (error) {
    throw new CliError(`cannot read ${keyFile}: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`, { cause: error });
  }
}
