import type { Target } from './target.ts';

/** A gateway's metrics, by series as they are written: name, and labels in braces. */
export type Metrics = ReadonlyMap<string, number>;

/** As its first caller, who needs the role `admin`; throws when they are not to be had. */
export async function readMetrics(target: Target): Promise<Metrics> {
  const [line = ''] = target.callers[0] ?? [];
  const authorization = line.slice('Authorization: '.length);
  const response = await fetch(new URL('/metrics', target.url), { headers: { authorization, connection: 'close' } });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${target.name} shows no metrics: ${response.status} ${text.slice(0, 200)}`);
  return parseMetrics(text);
}

export function parseMetrics(text: string): Metrics {
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** The sum of a family's series whose labels hold the text; throws when there is none, which would look like zero. */
export function sumOf(metrics: Metrics, family: string, label = ''): number {
  const series = [...metrics].filter(([name]) => (name === family || name.startsWith(`${family}{`)) && name.includes(label));
  if (series.length === 0) throw new Error(`there is no metric ${family} ${label}`);
  return series.reduce((sum, [, value]) => sum + value, 0);
}
