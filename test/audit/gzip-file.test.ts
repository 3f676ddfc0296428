import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gzipFile } from '../../src/audit/gzip-file.ts';
import { temporaryFolder } from './support.ts';

describe('gzipFile', () => {
  it('row 205: replaces a large file by its compressed form, mode 0600', async () => {
    const path = join(temporaryFolder(), 'a');
    const text = Array.from({ length: 50_000 }, (_, i) => `{"n":${i}}`).join('\n');
    writeFileSync(path, text);
    await gzipFile(path);
    expect(gunzipSync(readFileSync(`${path}.gz`)).toString()).toBe(text);
    expect(existsSync(path)).toBe(false);
    expect(statSync(`${path}.gz`).mode & 0o777).toBe(0o600);
  });

  it('row 205: makes one member of any number of pieces, none included, that gzip itself takes', async () => {
    const piece = 256 * 1024;
    for (const bytes of [0, 1, piece - 1, piece, piece + 1, 3 * piece]) {
      const path = join(temporaryFolder(), 'a');
      const content = Buffer.alloc(bytes, '{"event_type":"tool_call"}\n');
      writeFileSync(path, content);
      await gzipFile(path);
      expect(execFileSync('gzip', ['-dc', `${path}.gz`], { maxBuffer: 2 ** 22 }).equals(content)).toBe(true);
    }
  });

  it('leaves the source alone when it cannot be read to its end', async () => {
    const folder = temporaryFolder();
    await expect(gzipFile(folder)).rejects.toThrow(/EISDIR/);
    await expect(gzipFile(join(folder, 'missing'))).rejects.toThrow(/ENOENT/);
    expect(existsSync(folder)).toBe(true);
    expect(existsSync(`${join(folder, 'missing')}.gz.partial`)).toBe(false);
  });

  it('does not write through a link that stands in its way', async () => {
    const folder = temporaryFolder();
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'untouched');
    writeFileSync(join(folder, 'a'), 'lines');
    symlinkSync(victim, join(folder, 'a.gz.partial'));
    await gzipFile(join(folder, 'a'));
    expect(readFileSync(victim, 'utf8')).toBe('untouched');
    expect(gunzipSync(readFileSync(join(folder, 'a.gz'))).toString()).toBe('lines');
  });
});
