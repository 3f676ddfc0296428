import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writePictures } from './lib/pictures.ts';
import { publish } from './lib/publish.ts';
import { markdown, RESULTS } from './lib/report.ts';
import type { Report } from './lib/report.ts';
import { runMain } from './lib/run-main.ts';

/**
 * `npm run perf:report [-- results.json]`: writes the figures of a run, the latest unless another is named, into `docs/performance.md`
 * between its marks, and the pictures beside it. `--print` prints them instead.
 */
const page = fileURLToPath(new URL('../docs/performance.md', import.meta.url));

async function main(): Promise<boolean> {
  const { values, positionals } = parseArgs({ options: { print: { type: 'boolean', default: false } }, allowPositionals: true });
  const report = JSON.parse(await readFile(positionals[0] ?? join(RESULTS, 'latest.json'), 'utf8')) as Report;
  if (values.print) {
    console.log(markdown(report));
    return true;
  }
  if (report.options.isQuick) throw new Error('a quick run is too rough to publish; --print shows it');
  await writeFile(page, publish(await readFile(page, 'utf8'), report, await writePictures(report)));
  console.log(page);
  return true;
}

await runMain(main);
