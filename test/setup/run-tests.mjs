import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { requireNode } from './preflight.mjs';
import { ensureServices, thisMachine } from './services.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const resultsFile = join(root, '.tmp', `test-results-${process.pid}.json`);

/** Services stand in sbin on Debian, which is not on an ordinary user's PATH. */
function searchPath() {
  return `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;
}

/** Runs vitest and returns its exit status; arguments are passed on, so that single files can be named. */
function runVitest() {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${resultsFile}`];
  const env = { ...process.env, PATH: searchPath() };
  const result = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit', env });
  return result.status ?? 1;
}

/** Counts of the finished run. A file that could not be loaded counts as one failure, and so does a run that failed without naming a test. */
function countResults(status) {
  let results;
  try {
    results = JSON.parse(readFileSync(resultsFile, 'utf8'));
  } catch {
    return { passed: 0, failed: 1 };
  }
  const isLost = (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed');
  const failed = results.numFailedTests + results.testResults.filter(isLost).length;
  return { passed: results.numPassedTests, failed: status !== 0 && failed === 0 ? 1 : failed };
}

function main() {
  const problem = ensureServices(thisMachine(searchPath()));
  if (problem !== null) throw new Error(problem);
  build();
  mkdirSync(dirname(resultsFile), { recursive: true });
  const status = runVitest();
  const counts = countResults(status);
  rmSync(resultsFile, { force: true });
  if (counts.passed + counts.failed === 0) counts.failed = 1;
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = status !== 0 ? status : counts.failed > 0 ? 1 : 0;
}

requireNode();
try {
  main();
} catch (error) {
  console.error(error.message);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
