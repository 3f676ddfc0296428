import { generatedFiles as configFiles } from '../../src/config/generated-files.ts';
import { errorsDoc } from './errors-doc.ts';
import { lintConfig } from './lint-rules.ts';

/** A file that is made from sources and committed; `path` is relative to the checkout. */
export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

export function generatedFiles(): GeneratedFile[] {
  return [...configFiles(), { path: 'docs/errors.md', text: errorsDoc() }, { path: '.oxlintrc.json', text: lintConfig() }];
}
