import { Bench } from 'tinybench';
import { limitPolicy } from '../src/core/limit-fields.ts';
import { answerHead, answerLines } from '../src/listener/answer-head.ts';
import { isPlain, plainHead } from '../src/listener/plain-head.ts';
import { printTable } from './print-table.ts';

/** Bounds: what the head of an answer costs before it goes to the listener's library: as a list that is joined, as one text at once, and in bytes. */
const BATCH = 200;
const HEADERS = [
  ['x-request-id', '01997b3e-0000-4000-8000-000000000000'],
  ['content-type', 'application/json'],
  ['cache-control', 'no-store'],
  ['x-ratelimit-limit', '10'],
  ['x-ratelimit-remaining', '9'],
  ['x-ratelimit-reset', '1'],
  ['ratelimit-policy', '"principal";q=10;w=1'],
  ['ratelimit', '"principal";r=9;t=1'],
].flat();

let seen = 0;

function joined(): string {
  const head = answerHead(200, HEADERS, false);
  let lines = '';
  for (let i = 0; i + 1 < head.length; i += 2) lines += `\r\n${head[i]}: ${head[i + 1]}`;
  return lines;
}

const PLAIN = HEADERS.slice(0, 6);
const FIGURES = { limitPolicy: limitPolicy('principal', 10, 1), limit: 10, limitRemaining: 9, limitResetSecs: 1 };

const bench = new Bench({ time: 1500 })
  .add('a list, then joined', () => {
    for (let i = 0; i < BATCH; i++) seen += Buffer.byteLength(joined());
  })
  .add('one text', () => {
    for (let i = 0; i < BATCH; i++) seen += Buffer.byteLength(answerLines(200, HEADERS));
  })
  .add('in bytes', () => {
    for (let i = 0; i < BATCH; i++) if (isPlain(PLAIN)) seen += plainHead(PLAIN, FIGURES, '')?.length ?? 0;
  });
await bench.run();
printTable(`heads of answers (${seen > 0 ? 'checked' : 'unchecked'})`, bench, BATCH);
