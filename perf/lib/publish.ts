import { markdown } from './report.ts';
import type { Report } from './report.ts';

const BEGIN = '<!-- figures: written by npm run perf:report -->';
const END = '<!-- end of figures -->';

/** The page with the report between its marks, in place of what stood there; throws when the page has no marks. */
export function publish(page: string, report: Report, pictures: readonly string[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page has no place for figures: ${BEGIN} … ${END}`);
  // The page has a title of its own: everything moves one level down.
  const body = markdown(report)
    .replace(/^# .*\n\n/, '')
    .replaceAll(/^## /gm, '### ');
  const images = pictures.map((name) => `![${name.replace('.svg', '').replaceAll('-', ' ')}](perf/${name})`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${[...images, body].join('\n\n').trimEnd()}\n\n${page.slice(end)}`;
}
