import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writePictures } from './lib/pictures.ts';
import { publish } from './lib/publish.ts';
import { markdown, RESULTS } from './lib/report.ts';
import type { Report } from './lib/report.ts';
import { runMain } from './lib/run-main.ts';

/**
 * `npm run perf:report [-- results.json]`: writes the figures of a run, the latest that was no quick one unless another is named, into
 * `docs/performance.md` between its marks, and the pictures beside it. `--print` prints them instead.
 */
const page = fileURLToPath(new URL('../docs/performance.md', import.meta.url));

async function read(path: string): Promise<Report> {
  return JSON.parse(await readFile(path, 'utf8')) as Report;
}

/** Reports are named by their time. */
async function latestWhole(): Promise<Report> {
  const names = (await readdir(RESULTS)).filter((name) => /^\d.*Z\.json$/.test(name));
  for (const name of names.toSorted().toReversed()) {
    const report = await read(join(RESULTS, name));
    if (!report.options.isQuick) return report;
  }
  throw new Error('there is no report but of quick runs: npm run perf');
}

async function main(): Promise<boolean> {
  const { values, positionals } = parseArgs({ options: { print: { type: 'boolean', default: false } }, allowPositionals: true });
  const [named] = positionals;
  const report = named === undefined ? await latestWhole() : await read(named);
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
