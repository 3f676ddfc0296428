const RELATIVE = /^([1-9]\d{0,5})([dh])$/;
const HOUR_MS = 3_600_000;

/**
 * Turns `30d` or `12h` into the RFC 3339 time that far from now; other texts are returned as they are, for the
 * configuration's own check to judge.
 */
export function resolveExpiry(text: string, nowMs: number): string {
  const match = RELATIVE.exec(text);
  if (match === null) return text;
  const hours = Number(match[1]) * (match[2] === 'd' ? 24 : 1);
  return new Date(Math.floor((nowMs + hours * HOUR_MS) / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}
