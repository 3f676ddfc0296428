import { EXIT_OK, printLine, type CliIo, type Globals } from './io.ts';
import { loadSnapshot, problemLines } from './load.ts';

/** `validate`: everything that would keep `run` from starting, all at once. */
export async function validate(io: CliIo, { config }: Globals): Promise<number> {
  const { warnings } = loadSnapshot(io, config);
  for (const line of problemLines(warnings, config)) io.stderr.write(`${line}\n`);
  printLine(io, `${config}: valid`);
  return EXIT_OK;
}
