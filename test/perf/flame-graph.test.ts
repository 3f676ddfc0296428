import { describe, expect, it } from 'vitest';
import { flameGraph, frameTree, topSelfTime } from '../../perf/lib/flame-graph.ts';
import type { CpuProfile } from '../../perf/lib/flame-graph.ts';

const frame = (functionName: string, url = '', lineNumber = 0): CpuProfile['nodes'][number]['callFrame'] => ({
  functionName,
  url,
  lineNumber,
});

/** `main` calls `parse` by two ways, waits, and collects garbage. */
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 5, 6] },
    { id: 2, callFrame: frame('main', 'file:///somewhere/dist/src/main.js', 9), children: [3, 4] },
    { id: 3, callFrame: frame('parse', 'file:///somewhere/dist/src/mcp/parse.js', 4) },
    { id: 4, callFrame: frame('<b>&', 'file:///somewhere/node_modules/undici/lib/x.js', 0), children: [7] },
    { id: 5, callFrame: frame('(idle)') },
    { id: 6, callFrame: frame('(garbage collector)') },
    { id: 7, callFrame: frame('parse', 'file:///somewhere/dist/src/mcp/parse.js', 4) },
  ],
  samples: [2, 3, 4, 7, 5, 6],
  timeDeltas: [100, 300, 100, 300, 5_000, 200],
};

describe('the flame graph', () => {
  it('adds up what each function took with what it called, without the idle time', () => {
    const root = frameTree(PROFILE);
    expect(root.totalUs).toBe(1_000);
    const [main] = root.children.values();
    expect(main).toMatchObject({ name: 'main', place: 'src/main.js:10', selfUs: 100, totalUs: 800 });
  });

  it('lists where the time itself was spent, whoever called', () => {
    const top = topSelfTime(frameTree(PROFILE), 2);
    expect(top).toEqual([
      { name: 'parse', place: 'src/mcp/parse.js:5', percent: 60 },
      { name: '(garbage collector)', place: '', percent: 20 },
    ]);
  });

  it('is an SVG whose texts are escaped and which knows no folder of the machine', () => {
    const svg = flameGraph(frameTree(PROFILE), 'a & b');
    expect(svg).toMatch(/^<svg [^>]+>\n[\s\S]+<\/svg>\n$/);
    expect(svg).toContain('a &amp; b');
    expect(svg).toContain('&lt;b&gt;&amp; undici/lib/x.js:1 40.0 %, itself 10.0 %');
    expect(svg).not.toContain('somewhere');
    expect(svg).not.toContain('<b>');
  });
});
