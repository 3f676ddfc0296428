import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, ROOT } from './sources.ts';

/** A Markdown file; `path` is relative to the checkout. */
export interface Document {
  readonly path: string;
  readonly text: string;
}

/** A fenced block of code. `info` holds the words behind the fence: the language first, then our marks. */
export interface CodeBlock {
  readonly info: readonly string[];
  readonly text: string;
  readonly line: number;
}

const TOP = ['README.md', 'AGENTS.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'];

export function allDocuments(): Document[] {
  return [...TOP, ...filesBelow('docs', '.md')].map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

export function codeBlocks(text: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  for (const match of text.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)) {
    const info = (match[1] ?? '').trim().split(/\s+/);
    blocks.push({ info, text: match[2] ?? '', line: text.slice(0, match.index).split('\n').length });
  }
  return blocks;
}

/** The text without its fenced blocks and code spans: what is prose, headings and links. */
export function prose(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '');
}

/** Anchors of a document's headings, as GitHub makes them. */
export function anchors(text: string): Set<string> {
  const headings = text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/^#{1,6} +(.+)$/gm);
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  return new Set([...headings].map((match) => slug(match[1] ?? '')));
}
