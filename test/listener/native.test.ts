import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inspectNative, loadNative, nativeInfo, nativeProblem } from '../../src/listener/native.ts';

describe('the native library', () => {
  it('is the verified build on this machine, and loads', async () => {
    const info = nativeInfo();
    expect(info).toMatchObject({ version: '20.49.0', isVerified: true });
    expect(info.file).toBe(`uws_${process.platform}_${process.arch}_${process.versions.modules}.node`);
    expect(nativeProblem(info)).toBeNull();
    const library = await loadNative();
    expect(library.App).toBeTypeOf('function');
    expect(await loadNative()).toBe(library);
  });

  it('is refused when its bytes differ from the verified ones', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mcp-guard-native-'));
    try {
      const path = join(folder, 'uws_linux_x64_127.node');
      writeFileSync(path, 'not the library');
      const info = inspectNative('uws_linux_x64_127.node', path);
      expect(info.sha256).toBe(createHash('sha256').update('not the library').digest('hex'));
      expect(info.isVerified).toBe(false);
      expect(nativeProblem(info)).toContain(info.sha256);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is refused on a platform whose build nobody verified, or that has none', () => {
    expect(nativeProblem({ version: '', file: 'uws_win32_x64_127.node', sha256: 'aa', isVerified: false })).toContain('not a verified one');
    expect(nativeProblem(inspectNative('uws_plan9_x64_127.node', null))).toContain('no file uws_plan9_x64_127.node');
  });
});
