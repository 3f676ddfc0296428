import { Bench } from 'tinybench';
import { acceptsOf, isJsonContentType } from '../src/mcp/content.ts';
import { printTable } from './print-table.ts';

/** Bounds: what the media headers cost a request, when they are the usual ones and when each is new. */
const BATCH = 200;
const ACCEPT = 'application/json, text/event-stream';
const TYPE = 'application/json';
let serial = 0;

function readBoth(suffix: string): void {
  if (!acceptsOf(`${ACCEPT}${suffix}`).sse || !isJsonContentType(`${TYPE}${suffix}`)) throw new Error('a good header was refused');
}

const bench = new Bench({ time: 1500 })
  .add('both headers, as every client of a kind sends them', () => {
    for (let i = 0; i < BATCH; i++) readBoth('');
  })
  .add('both headers, new each time', () => {
    for (let i = 0; i < BATCH; i++) readBoth(`; v=${(serial += 1)}`);
  });
await bench.run();
printTable('media types', bench, BATCH);
