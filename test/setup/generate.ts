import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generatedFiles } from './generated.ts';
import { ROOT } from './sources.ts';

/** `npm run generate`: writes every generated file; `test/docs/generated.test.ts` fails when one is not as written here. */
for (const { path, text } of generatedFiles()) {
  mkdirSync(dirname(join(ROOT, path)), { recursive: true });
  writeFileSync(join(ROOT, path), text);
  console.log(path);
}
