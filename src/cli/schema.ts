import { generateJsonSchema } from '../config/json-schema.ts';
import { EXIT_OK, type CliIo } from './io.ts';

/** `schema`: the JSON schema of the configuration. */
export async function schema(io: CliIo): Promise<number> {
  io.stdout.write(generateJsonSchema());
  return EXIT_OK;
}
