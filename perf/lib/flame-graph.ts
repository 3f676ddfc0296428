/** A node of a V8 profile: a function as called by its parent. */
interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** What `node --cpu-prof` writes. Times are in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** A function with what it called, and the time spent in it. */
export interface Frame {
  readonly name: string;
  /** File and line, shortened; empty for V8's own entries. */
  readonly place: string;
  selfUs: number;
  totalUs: number;
  readonly children: Map<string, Frame>;
}

export interface SelfTime {
  readonly name: string;
  readonly place: string;
  readonly percent: number;
}

const WIDTH = 1_600;
const ROW = 18;
/** Narrower than this a frame cannot be seen. */
const LEAST_PX = 0.6;
const LETTER_PX = 6.6;
/** Time in which the process waited. */
const IDLE = '(idle)';

/** The calls of a profile as a tree, equal callers merged; without the time in which the process had nothing to do. */
export function frameTree(profile: CpuProfile): Frame {
  const selfUs = new Map<number, number>();
  profile.samples.forEach((id, i) => selfUs.set(id, (selfUs.get(id) ?? 0) + (profile.timeDeltas[i] ?? 0)));
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const children = new Set(profile.nodes.flatMap((node) => node.children ?? []));
  const root = newFrame('all', '');
  for (const node of profile.nodes) if (!children.has(node.id)) merge(root, node, byId, selfUs);
  sum(root);
  return root;
}

function newFrame(name: string, place: string): Frame {
  return { name, place, selfUs: 0, totalUs: 0, children: new Map() };
}

function merge(parent: Frame, node: ProfileNode, byId: ReadonlyMap<number, ProfileNode>, selfUs: ReadonlyMap<number, number>): void {
  const { functionName, url, lineNumber } = node.callFrame;
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (name === IDLE) return;
  const isRoot = name === '(root)';
  const place = url === '' ? '' : `${shortened(url)}:${lineNumber + 1}`;
  const key = `${name} ${place}`;
  const frame = isRoot ? parent : (parent.children.get(key) ?? newFrame(name, place));
  if (!isRoot) parent.children.set(key, frame);
  frame.selfUs += Math.max(selfUs.get(node.id) ?? 0, 0);
  for (const id of node.children ?? []) {
    const child = byId.get(id);
    if (child !== undefined) merge(frame, child, byId, selfUs);
  }
}

function sum(frame: Frame): number {
  frame.totalUs = frame.selfUs;
  for (const child of frame.children.values()) frame.totalUs += sum(child);
  return frame.totalUs;
}

/** From the source folder or the package on: no machine's paths in a picture that is published. */
function shortened(url: string): string {
  if (url.startsWith('node:')) return url;
  return /node_modules\/(?!.*node_modules\/)(.+)$/.exec(url)?.[1] ?? /(?:dist\/)?(src\/.+)$/.exec(url)?.[1] ?? url.replace(/^.*\//, '');
}

/** Where the time itself was spent, whoever called; the largest first. */
export function topSelfTime(root: Frame, count: number): SelfTime[] {
  const selfUs = new Map<string, { name: string; place: string; us: number }>();
  const visit = (frame: Frame): void => {
    const key = `${frame.name} ${frame.place}`;
    const known = selfUs.get(key) ?? { name: frame.name, place: frame.place, us: 0 };
    selfUs.set(key, { ...known, us: known.us + frame.selfUs });
    for (const child of frame.children.values()) visit(child);
  };
  visit(root);
  return [...selfUs.values()]
    .toSorted((a, b) => b.us - a.us)
    .slice(0, count)
    .map(({ name, place, us }) => ({ name, place, percent: (100 * us) / root.totalUs }));
}

/** An SVG of the tree: a row per depth of calls, a width per share of the time. Pointing at a frame names it. */
export function flameGraph(root: Frame, title: string): string {
  const rows: string[] = [];
  const depth = draw(root, 0, 0, WIDTH / root.totalUs, root.totalUs, rows);
  const height = (depth + 2) * ROW + 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fff"/><text x="6" y="14" font-size="13">${escaped(title)}</text>`,
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

/** Draws a frame and what it called, side by side beneath it; returns the greatest depth. */
function draw(frame: Frame, depth: number, x: number, pxPerUs: number, allUs: number, rows: string[]): number {
  const width = frame.totalUs * pxPerUs;
  if (width < LEAST_PX) return depth;
  const y = (depth + 1) * ROW + 4;
  const label = frame.name.slice(0, Math.max(Math.floor((width - 4) / LETTER_PX), 0));
  const what = `${frame.name} ${frame.place} ${((100 * frame.totalUs) / allUs).toFixed(1)} %, itself ${((100 * frame.selfUs) / allUs).toFixed(1)} %`;
  rows.push(
    `<g><title>${escaped(what)}</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(width - 0.5, 0.3).toFixed(1)}" height="${ROW - 1}" fill="${colour(frame)}"/>${
      label.length > 2 ? `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(label)}</text>` : ''
    }</g>`,
  );
  let [at, deepest] = [x, depth];
  for (const child of [...frame.children.values()].toSorted((a, b) => b.totalUs - a.totalUs)) {
    deepest = Math.max(deepest, draw(child, depth + 1, at, pxPerUs, allUs, rows));
    at += child.totalUs * pxPerUs;
  }
  return deepest;
}

/** Ours, packages, Node, V8. */
function colour({ place, name }: Frame): string {
  if (place.startsWith('src/')) return '#f4a261';
  if (place.startsWith('node:')) return '#a8c7dc';
  if (place !== '') return '#b7d7a8';
  return name === '(garbage collector)' ? '#e57373' : '#d9d9d9';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
