import { generateJsonSchema } from '../config/json-schema.ts';
import { EXIT_OK, printLine, type CliIo } from './io.ts';

/** `schema`: the JSON schema of the configuration. */
export async function schema(io: CliIo): Promise<number> {
  printLine(io, JSON.stringify(generateJsonSchema(), null, 2));
  return EXIT_OK;
}
