import { describe, expect, it } from 'vitest';
import { isLegacyHeader, LATEST_LEGACY_REVISION, LEGACY_REVISIONS, negotiate } from '../../src/mcp/revisions.ts';

describe('negotiate', () => {
  it.each(LEGACY_REVISIONS)('answers %s with itself', (revision) => {
    expect(negotiate(revision)).toBe(revision);
  });

  it.each([null, '', '2026-07-28', '2099-01-01', '2025-06-18 ', 'latest'])('answers %j with the latest one', (requested) => {
    expect(negotiate(requested)).toBe(LATEST_LEGACY_REVISION);
  });
});

describe('isLegacyHeader', () => {
  it('takes every legacy revision and an absent header', () => {
    for (const header of ['', ...LEGACY_REVISIONS]) expect(isLegacyHeader(header)).toBe(true);
  });

  it('takes nothing else', () => {
    for (const header of ['1.0', '2025-06-19', '2025-06-18,2025-06-18', '2024-10-07', '2026-07-28'])
      expect(isLegacyHeader(header)).toBe(false);
  });
});
