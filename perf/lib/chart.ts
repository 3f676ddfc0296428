/** One line of a chart: a value for some of the places on the axis. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface Chart {
  readonly title: string;
  readonly xName: string;
  readonly yName: string;
  /** Powers of ten on the vertical axis. */
  readonly isLogarithmic: boolean;
  readonly lines: readonly Line[];
}

const [WIDTH, HEIGHT] = [760, 420];
const [LEFT, RIGHT, TOP, BOTTOM] = [76, 150, 44, 56];
const COLOURS = ['#1b6ca8', '#d1495b', '#2e8b57', '#8d6a9f', '#c77d0a', '#555555'];

/** An SVG that is read without anything else: no script, no font, no style from outside. */
export function chart({ title, xName, yName, isLogarithmic, lines }: Chart): string {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))].toSorted((a, b) => a - b);
  const ys = lines.flatMap(({ points }) => points.map(([, y]) => y)).filter((y) => y > 0);
  if (ys.length === 0) throw new Error(`nothing to draw: ${title}`);
  const ticks = isLogarithmic ? logarithmicTicks(Math.min(...ys), Math.max(...ys)) : linearTicks(Math.max(...ys));
  const [low, high] = [ticks[0] ?? 0, ticks.at(-1) ?? 1];
  const scale = (y: number): number => (isLogarithmic ? Math.log10(y / low) / Math.log10(high / low) : y / high);
  // Each measured place has the same room: rates and counts of processes double from one to the next.
  const atX = (x: number): number => LEFT + ((xs.indexOf(x) + 0.5) / xs.length) * (WIDTH - LEFT - RIGHT);
  const atY = (y: number): number => HEIGHT - BOTTOM - scale(Math.max(y, low)) * (HEIGHT - TOP - BOTTOM);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/><text x="${LEFT}" y="24" font-size="15">${escaped(title)}</text>`,
    ...ticks.map((y) => grid(atY(y), y)),
    ...xs.map((x) => `<text x="${atX(x)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${x.toLocaleString('en')}</text>`),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 14}" text-anchor="middle">${escaped(xName)}</text>`,
    `<text transform="translate(18 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escaped(yName)}</text>`,
    ...lines.map((line, i) => draw(line, i, atX, atY)),
    '</svg>',
    '',
  ].join('\n');
}

function grid(at: number, value: number): string {
  const label = value.toLocaleString('en', { maximumSignificantDigits: 3 });
  return `<line x1="${LEFT}" y1="${at.toFixed(1)}" x2="${WIDTH - RIGHT}" y2="${at.toFixed(1)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${label}</text>`;
}

function draw({ name, points }: Line, index: number, atX: (x: number) => number, atY: (y: number) => number): string {
  const colour = COLOURS[index % COLOURS.length] ?? '#000';
  const places = points.map(([x, y]) => ({ x: atX(x).toFixed(1), y: atY(y).toFixed(1) }));
  const path = places.map(({ x, y }) => `${x},${y}`).join(' ');
  const dots = places.map(({ x, y }) => `<circle cx="${x}" cy="${y}" r="3.5" fill="${colour}"/>`).join('');
  const legendY = TOP + 8 + index * 20;
  const legend = `<rect x="${WIDTH - RIGHT + 12}" y="${legendY - 9}" width="12" height="12" fill="${colour}"/><text x="${WIDTH - RIGHT + 30}" y="${legendY + 2}">${escaped(name)}</text>`;
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}${legend}`;
}

/** From nought in up to six round steps. */
function linearTicks(most: number): number[] {
  const rough = most / 5;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * ([1, 2, 5, 10].find((factor) => factor * size >= rough) ?? 10);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
}

/** Whole powers of ten around the values, at least two. */
function logarithmicTicks(least: number, most: number): number[] {
  const first = Math.floor(Math.log10(least));
  const last = Math.max(Math.ceil(Math.log10(most)), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
