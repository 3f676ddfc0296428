import { formatOf } from '../config/parse.ts';
import { renderConfig } from '../config/render.ts';
import { EXIT_OK, type CliIo, type Globals } from './io.ts';
import { loadSnapshot, problemLines } from './load.ts';

/** `config show`: what holds after environment and defaults, in the file's own syntax, secrets masked. */
export async function configShow(io: CliIo, { config }: Globals): Promise<number> {
  const { effective, warnings } = loadSnapshot(io, config);
  for (const line of problemLines(warnings, config)) io.stderr.write(`${line}\n`);
  io.stdout.write(renderConfig(effective, formatOf(config) ?? 'toml'));
  return EXIT_OK;
}
