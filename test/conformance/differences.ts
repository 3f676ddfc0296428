import type { Checks } from './suite.ts';

/** What differs between the server itself and the gateway in front of it, one line for each check, sorted. */
export function differences(direct: Checks, through: Checks): string[] {
  const keys = [...new Set([...direct.keys(), ...through.keys()])].sort();
  return keys.flatMap((key) => {
    const [before, after] = [direct.get(key) ?? 'absent', through.get(key) ?? 'absent'];
    return before === after ? [] : [`${key} ${before} -> ${after}`];
  });
}
