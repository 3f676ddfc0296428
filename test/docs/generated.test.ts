import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as catalogue from '../../src/core/errors.ts';
import { NOTES, refusals } from '../setup/errors-doc.ts';
import { generatedFiles } from '../setup/generated.ts';
import { ROOT } from '../setup/sources.ts';

const INTERNAL_STATUS = 31_000;

describe('generated files', () => {
  it.each(generatedFiles().map((file) => [file.path, file.text]))('%s is as its sources make it (npm run generate)', (path, text) => {
    expect(readFileSync(join(ROOT, path), 'utf8')).toBe(text);
  });
});

describe('the error catalogue', () => {
  const codes = refusals().map(({ code }) => code);

  it('has a note for each code, and no note without a code', () => {
    expect(Object.keys(NOTES).toSorted()).toEqual(codes.toSorted());
  });

  it('stands in docs/errors.md, and nothing else does', () => {
    const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
    const listed = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1] ?? '');
    expect(listed.toSorted()).toEqual(codes.toSorted());
  });

  it('names each constant like its code, each code and reason once', () => {
    const exported = Object.entries(catalogue).filter(([, value]) => typeof value === 'object');
    expect(exported.filter(([name, value]) => typeof value === 'object' && value.code !== name)).toEqual([]);
    expect(new Set(codes).size).toBe(codes.length);
    expect(new Set(refusals().map(({ reason }) => reason)).size).toBe(codes.length);
  });

  it('gives own JSON-RPC codes the HTTP status, and standard ones their meaning', () => {
    const standard = new Set([
      catalogue.PARSE_ERROR,
      catalogue.INVALID_REQUEST,
      catalogue.METHOD_NOT_FOUND,
      catalogue.INVALID_PARAMS,
      catalogue.RESOURCE_NOT_FOUND,
      -32603,
      // Of revision 2026-07-28: HeaderMismatch, MissingRequiredClientCapability, UnsupportedProtocolVersion.
      -32020,
      -32021,
      -32022,
    ]);
    const odd = refusals().filter(({ rpcCode, status }) => !standard.has(rpcCode) && rpcCode !== -(INTERNAL_STATUS + status));
    expect(odd).toEqual([]);
  });

  it('cannot be changed while running', () => {
    expect(refusals().every((refusal) => Object.isFrozen(refusal))).toBe(true);
  });
});
