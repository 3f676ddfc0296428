import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileRedaction } from '../../src/audit/redact.ts';
import type { LoggingSettings } from '../../src/core/config.ts';
import { createLog, type LogOptions } from '../../src/observe/log.ts';
import { recordingDestination } from './support.ts';

const JSON_INFO: LoggingSettings = { level: 'info', format: 'json' };
const KEY = `mcp_${'K'.repeat(43)}`;

function build(settings: LoggingSettings = JSON_INFO, changes: Partial<LogOptions> = {}) {
  const destination = recordingDestination();
  const log = createLog(settings, { verbosity: 0, redact: compileRedaction([]), destination, isTerminal: false, ...changes });
  const records = (): Record<string, unknown>[] => destination.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, records, lines: destination.lines };
}

describe('createLog', () => {
  it('row 30: writes JSON lines with level, time, message and fields, also those of a child', () => {
    const { log, records } = build();
    log.child({ worker: 3 }).info({ server: 'fs' }, 'hello');
    expect(records()[0]).toMatchObject({
      level: 'info',
      worker: 3,
      server: 'fs',
      msg: 'hello',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
    });
  });

  it.each([
    ['info', 0, ['info', 'warn', 'error']],
    ['info', 1, ['debug', 'info', 'warn', 'error']],
    ['info', 2, ['trace', 'debug', 'info', 'warn', 'error']],
    ['trace', 1, ['trace', 'debug', 'info', 'warn', 'error']],
    ['error', 0, ['error']],
  ] as const)('row 30: at level %s with %i flags writes %s', (level, verbosity, expected) => {
    const { log, records } = build({ level, format: 'json' }, { verbosity });
    for (const one of ['trace', 'debug', 'info', 'warn', 'error'] as const) log[one]({}, 'x');
    expect(records().map((record) => record['level'])).toEqual(expected);
    expect(log.isDebug).toBe((expected as readonly string[]).includes('debug'));
  });

  it('row 203: redacts messages, fields at any depth, names, errors and their causes', () => {
    const { log, lines } = build();
    const error = Object.assign(new Error(`failed with ${KEY}`, { cause: new Error(`Bearer ${'K'.repeat(20)}`) }), { code: KEY });
    log.error(
      { err: error, [KEY]: 1, deep: [{ a: KEY, clientSecret: { x: 'KKKKKK' }, Authorization: ['KKKKKK'], password: 123_456 }] },
      `message ${KEY}`,
    );
    log.child({ token: 'KKKKKK' }).info({}, 'child');
    expect(lines.join('')).not.toMatch(/KKKK|123456/);
    expect(lines).toHaveLength(2);
  });

  it.each(['json', 'pretty'] as const)('row 202: lets no field or message break a %s line or move the cursor', (format) => {
    const { log, lines } = build({ level: 'info', format });
    const evil = 'a\n{"level":"error"}\r\u001b[2J\u009b1m\u2028\u202e\u0007';
    const error = new Error(`a\n    at forged (evil.js:1:1)\u001b[2J`);
    log.warn({ tool: evil, deep: { [evil]: [evil] }, err: error }, evil);
    const text = lines.join('');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/);
    const forged = text.split('\n').filter((line) => line.startsWith('{"level":"error"}'));
    expect(forged).toEqual([]);
    if (format === 'json') expect(text.indexOf('\n')).toBe(text.length - 1);
  });

  it('cuts long texts without splitting a character, and never inside a secret', () => {
    const { log, records, lines } = build();
    for (let padding = 1980; padding < 2060; padding++)
      log.info({ a: '😀'.repeat(5000), b: `${'p'.repeat(padding)} ${KEY} ${'z'.repeat(9000)}` }, 'x');
    expect(lines.join('')).not.toContain('KKKK');
    expect(records().every(({ a }) => (a as string).isWellFormed() && (a as string).length < 2100)).toBe(true);
  });

  it('survives fields that cannot be read, cycles, and values that are no data', () => {
    const { log, records } = build();
    const cycle: Record<string, unknown> = { big: 1n, act: () => 1, bytes: Buffer.from('abc'), at: new Date(0), nothing: undefined };
    cycle['self'] = cycle;
    log.info(cycle, 'cycle');
    log.info(
      {
        get broken(): string {
          throw new Error(KEY);
        },
      },
      'broken',
    );
    expect(records()[0]).toMatchObject({ big: '1', act: '[function]', bytes: '[3 bytes]', at: '1970-01-01T00:00:00.000Z' });
    expect(records()[1]?.['msg']).toContain('could not be written');
  });

  it('row 30: is readable on a terminal, JSON otherwise, unless told', () => {
    const shown = build({ level: 'info', format: 'auto' }, { isTerminal: true });
    shown.log.info({ server: 'fs' }, 'hello');
    expect(shown.lines[0]).toMatch(/INFO.*hello.*fs/);
    expect(() => shown.records()).toThrow(SyntaxError);
    const piped = build({ level: 'info', format: 'auto' });
    piped.log.info({}, 'hello');
    expect(piped.records()).toHaveLength(1);
  });

  it('writes to stderr only, and everything is there although the process ends at once', () => {
    const program = `
      const { createLog } = await import(process.argv[1] + '/src/observe/log.ts');
      const log = createLog({ level: 'info', format: 'json' }, { verbosity: 0, redact: (text) => text });
      for (let i = 0; i < 100; i++) log.info({ i }, 'line');
      process.exit(1);`;
    const root = join(import.meta.dirname, '../..');
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program, root], { encoding: 'utf8', timeout: 10_000 });
    expect(run.stdout).toBe('');
    expect(run.stderr.trimEnd().split('\n')).toHaveLength(100);
  });

  it('neither blocks nor hangs nor crashes when nobody reads stderr, or its reader goes away', () => {
    const program = `
      const { createLog } = await import(process.argv[1] + '/src/observe/log.ts');
      const log = createLog({ level: 'info', format: 'json' }, { verbosity: 0, redact: (text) => text });
      for (let i = 0; i < 30000; i++) { log.info({ i, pad: 'x'.repeat(500) }, 'line'); if (i % 1000 === 0) await new Promise((done) => setImmediate(done)); }
      await new Promise((done) => setTimeout(done, 50));
      console.log('alive');
      process.exit(0);`;
    const root = join(import.meta.dirname, '../..');
    for (const reader of ['sleep 3', 'true']) {
      const script = `exec 3>&1; { "$0" --input-type=module -e "$1" "$2" 2>&1 1>&3 3>&-; } | ${reader}`;
      const run = spawnSync('bash', ['-c', script, process.execPath, program, root], { encoding: 'utf8', timeout: 10_000 });
      expect(run.stdout).toBe('alive\n');
    }
  });
});
