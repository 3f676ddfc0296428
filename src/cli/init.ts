import { join } from 'node:path';
import { generateKey, hashKey } from '../auth/keys.ts';
import { initTemplate } from '../config/init-template.ts';
import type { ConfigFormat } from '../config/parse.ts';
import { CliError, EXIT_OK, codeOf, printLine, type CliIo } from './io.ts';
import { createFile, overwriteFile } from './replace-file.ts';
import { demoServerCommand } from './self.ts';

const KEY_ID = 'demo';

export interface InitOptions {
  readonly format: ConfigFormat;
  readonly isForced: boolean;
}

async function write(path: string, name: string, text: string, isForced: boolean): Promise<void> {
  try {
    await (isForced ? overwriteFile(path, text) : createFile(path, text));
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (codeOf(error) === 'EEXIST') throw new CliError(`${name} exists already: use --force to replace it`, { cause: error });
    throw new CliError(`cannot write ${name}: ${codeOf(error)}`, { cause: error });
  }
}

/** `init`: a configuration that runs as it is. Its key is printed once and kept nowhere. */
export async function init(io: CliIo, { format, isForced }: InitOptions): Promise<number> {
  const name = `mcp-guard.${format}`;
  const key = generateKey();
  const { command, args } = demoServerCommand();
  await write(
    join(io.cwd, name),
    name,
    initTemplate(format, { keyId: KEY_ID, keyHash: hashKey(key), command: [command, ...args] }),
    isForced,
  );
  printLine(io, `Wrote ${name}: the bundled demo server behind one API key.`);
  printLine(io, '');
  printLine(io, `  key  ${key}`);
  printLine(io, '');
  printLine(io, 'It is shown this once; the file holds only its hash. Start the gateway with:');
  printLine(io, '');
  printLine(io, format === 'toml' ? '  mcp-guard run' : `  mcp-guard run -c ${name}`);
  return EXIT_OK;
}
