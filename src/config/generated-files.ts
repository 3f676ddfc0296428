import { generateConfigDocs } from './config-docs.ts';
import { generateJsonSchema } from './json-schema.ts';

/** A file of the repository that is derived from the source. */
export interface GeneratedFile {
  /** Relative to the project's root. */
  readonly path: string;
  readonly text: string;
}

/** The files that the schema table generates. */
export function generatedFiles(): readonly GeneratedFile[] {
  return [
    { path: 'config/mcp-guard.schema.json', text: generateJsonSchema() },
    { path: 'docs/config.md', text: generateConfigDocs() },
  ];
}
