import { describe, expect, it } from 'vitest';
import type { HeadGuard } from '../../../src/listener/head-guard.ts';
import { createHeadGuard } from '../../../src/listener/head-guard.ts';
import { type EngineName, ENGINES, startEngine, type TestListener, testSettings } from '../support.ts';
import type { HostileCase } from './case.ts';
import { CHUNK_CASES } from './chunk-cases.ts';
import { CONTROL_CASES } from './control-cases.ts';
import { FRAMING_CASES } from './framing-cases.ts';
import { type Front, startHaproxy, startNginx } from './front.ts';
import { HEAD_CASES } from './head-cases.ts';
import { type Finding, type Route, runCases, Witness } from './run.ts';
import { VALUE_CASES } from './value-cases.ts';

const CASES: readonly HostileCase[] = [...FRAMING_CASES, ...CHUNK_CASES, ...HEAD_CASES, ...VALUE_CASES];
const SUITE_MS = 60_000;

interface Outcome {
  readonly findings: readonly Finding[];
  readonly controls: readonly Finding[];
  readonly strays: readonly string[];
  readonly errors: readonly unknown[];
  readonly isFrontAlive: boolean;
}

const STARTS: Readonly<Record<Route, ((port: number) => Promise<Front>) | null>> = {
  direct: null,
  haproxy: startHaproxy,
  nginx: startNginx,
};

async function attack(engine: EngineName, route: Route, guard?: HeadGuard): Promise<Outcome> {
  const witness = new Witness();
  const listener: TestListener = await startEngine(engine, witness.application, {}, guard === undefined ? {} : { guard });
  const front = await STARTS[route]?.(listener.port);
  try {
    const port = front?.port ?? listener.port;
    const findings = await runCases(CASES, port, route, witness);
    const strays = [...witness.strays];
    const controls = await runCases(CONTROL_CASES, port, route, witness);
    return { findings, controls, strays, errors: [...listener.errors], isFrontAlive: front?.isAlive() ?? true };
  } finally {
    await front?.stop();
    listener.close();
  }
}

function smuggled(findings: readonly Finding[]): string[] {
  return findings
    .filter((finding) => finding.smuggled !== null)
    .map((finding) => `${finding.name}: ${finding.smuggled} ${finding.statuses}`);
}

describe('hostile HTTP/1.1', () => {
  it('has at least 150 distinct byte sequences, five or more of each cause', () => {
    const sequences = new Set(CASES.map((hostile) => JSON.stringify(hostile.segments)));
    expect(sequences.size).toBe(CASES.length);
    expect(sequences.size).toBeGreaterThanOrEqual(150);
    const byCause = Map.groupBy(CASES, (hostile) => hostile.cause);
    expect([...byCause].filter(([, cases]) => cases.length < 5).map(([cause]) => cause)).toEqual([]);
  });

  describe.each(ENGINES)('against the %s engine', (engine) => {
    it.each<Route>(['direct', 'haproxy', 'nginx'])(
      'smuggles nothing (%s), and well-formed requests pass',
      { timeout: SUITE_MS },
      async (route) => {
        const outcome = await attack(engine, route);
        expect(smuggled(outcome.findings)).toEqual([]);
        expect(outcome.strays).toEqual([]);
        expect(outcome.errors).toEqual([]);
        expect(outcome.isFrontAlive).toBe(true);
        expect(smuggled(outcome.controls)).toEqual([]);
        const meanings = new Map(CONTROL_CASES.map((control) => [`${control.cause}: ${control.name}`, control.meaning]));
        for (const control of outcome.controls)
          expect(control.ran, control.name).toEqual(expect.arrayContaining([...(meanings.get(control.name) ?? [])]));
      },
    );
  });

  it('finds smuggling when the guard is switched off', { timeout: SUITE_MS }, async () => {
    const { findings, strays } = await attack('uws', 'direct', absentGuard());
    const found = smuggled(findings);
    expect(found.length + strays.length).toBeGreaterThanOrEqual(10);
    for (const cause of [
      'conflicting lengths',
      'empty framing header',
      'other transfer coding',
      'empty header name',
      'chunk size',
      'trailers',
    ]) {
      expect(
        found.filter((line) => line.startsWith(cause)),
        cause,
      ).not.toEqual([]);
    }
  });
});

/** Passes every head on as it came, and keeps every connection. */
function absentGuard(): HeadGuard {
  const real = createHeadGuard(testSettings({ allowedHosts: null }));
  let line = { method: '', path: '', query: '' };
  return {
    begin(method, path, query, version) {
      line = { method, path, query };
      real.begin(method, path, query, version);
    },
    add: (name, value) => real.add(name, value),
    finish(peerIp, isSecure) {
      const { head } = real.finish(peerIp, isSecure);
      const bodyBytes = line.method === 'GET' ? 0 : -1;
      return { head: { ...head, ...line, bodyBytes }, refusal: null, keepsConnection: true, connection: '' };
    },
  };
}
