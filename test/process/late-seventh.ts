import { setFlagsFromString } from 'node:v8';
import { runInNewContext, runInThisContext } from 'node:vm';
import { settleShape } from '../../src/core/shape.ts';
import { noEntry } from '../../src/upstream/pending.ts';

// Run as a program: six objects of a class (or requests to a server: `entry`) are made and gone, everything is collected, and then the seventh is made. Prints what became of those behind it.
setFlagsFromString('--expose-gc');
setFlagsFromString('--allow-natives-syntax');
const collect = runInNewContext('gc') as () => void;
const hasFields = runInThisContext('(object) => %HasFastProperties(object)') as (object: object) => boolean;
const KEPT = 20_000;

class Fields {
  #a = 1;
  #b = 2;
  #c = 3;
  #d = 4;
  #e = 5;
  #f = 6;
  #g = 7;
  #h = 8;
  #i = 9;
  #j = 10;
  #k = 11;
  #l = 12;
  #m = 13;
  #n = 14;
  #o = 15;
  #p = 16;
  #q = 17;
  #r = 18;

  get values(): readonly number[] {
    return [
      this.#a,
      this.#b,
      this.#c,
      this.#d,
      this.#e,
      this.#f,
      this.#g,
      this.#h,
      this.#i,
      this.#j,
      this.#k,
      this.#l,
      this.#m,
      this.#n,
      this.#o,
      this.#p,
      this.#q,
      this.#r,
    ];
  }
}

function fields(): Fields {
  return new Fields();
}

const make: () => object = process.argv.includes('entry') ? noEntry : fields;
if (process.argv.includes('settled')) settleShape(fields);
for (let made = 0; made < 6; made++) make();
collect();
make();

const kept: object[] = Array.from({ length: KEPT });
collect();
const before = process.memoryUsage().heapUsed;
for (let i = 0; i < KEPT; i++) kept[i] = make();
collect();
const bytes = (process.memoryUsage().heapUsed - before) / KEPT;
const [last] = kept.slice(-1) as [object];
console.log(JSON.stringify({ values: last instanceof Fields ? last.values.length : 0, hasFields: hasFields(last), bytes }));
