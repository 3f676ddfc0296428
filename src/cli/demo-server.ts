import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../core/version.ts';
import { openSampleFolder } from '../demo/sample-folder.ts';
import { runDemoServer } from '../demo/server.ts';
import { EXIT_OK, type CliIo } from './io.ts';
import { packageRoot } from './package-info.ts';

/** The compiler leaves the sample files where they are; a package that copied them beside the program is served too. */
function sampleFolder(): string {
  const beside = join(import.meta.dirname, '..', 'demo', 'sample');
  return existsSync(beside) ? beside : join(packageRoot(), 'src', 'demo', 'sample');
}

/** `demo-server`: speaks MCP on stdin and stdout until stdin ends. */
export async function demoServer(io: CliIo): Promise<number> {
  await runDemoServer({ input: io.stdin, output: io.stdout, clock: io.clock, folder: openSampleFolder(sampleFolder()), version: VERSION });
  return EXIT_OK;
}
