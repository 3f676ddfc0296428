import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chart } from './chart.ts';
import type { Line } from './chart.ts';
import { median } from './figures.ts';
import type { Measured } from './figures.ts';
import type { Report } from './report.ts';

export interface Picture {
  /** File name. */
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

export const PICTURES: string = fileURLToPath(new URL('../../docs/perf/', import.meta.url));

/** The pictures that the report has figures for. */
export function picturesOf(report: Report): Picture[] {
  const measuredBy = (name: string): Measured => report.scenarios.find((result) => result.name === name)?.measured ?? {};
  return [...latencyPicture(measuredBy('open-loop')), ...workersPicture(measuredBy('workers'))];
}

/** Writes them into a folder and returns their names. */
export async function writePictures(report: Report, folder: string = PICTURES): Promise<string[]> {
  const pictures = picturesOf(report);
  await mkdir(folder, { recursive: true });
  for (const { name, svg } of pictures) await writeFile(join(folder, name), svg);
  return pictures.map(({ name }) => name);
}

function latencyPicture(measured: Measured): Picture[] {
  const lines = ['p50Ms', 'p99Ms'].flatMap((figure) =>
    Object.entries(measured).map(([target, series]): Line => {
      const points = Object.entries(series).flatMap(([name, values]): [number, number][] => {
        const [what, rate] = name.split('@');
        return what === figure ? [[Number(rate), median(values)]] : [];
      });
      return { name: `${target} ${figure.slice(0, -2)}`, points };
    }),
  );
  const title = 'Latency against rate';
  if (lines.every(({ points }) => points.length === 0)) return [];
  const svg = chart({ title, xName: 'requests per second', yName: 'milliseconds', isLogarithmic: true, lines });
  return [{ name: 'latency-against-rate.svg', title, svg }];
}

function workersPicture(measured: Measured): Picture[] {
  const points = new Map<string, [number, number][]>();
  for (const [target, series] of Object.entries(measured)) {
    const [name = '', workers] = target.split(' × ');
    points.set(name, [...(points.get(name) ?? []), [Number(workers), median(series['requestsPerSec'] ?? [])]]);
  }
  const title = 'Throughput against workers';
  if (points.size === 0) return [];
  const lines = Array.from(points, ([name, own]): Line => ({ name, points: own }));
  const svg = chart({ title, xName: 'worker processes', yName: 'requests per second', isLogarithmic: false, lines });
  return [{ name: 'throughput-against-workers.svg', title, svg }];
}
