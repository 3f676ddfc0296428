/** Edits between two words: insert, delete, replace, swap neighbours (optimal string alignment). */
export function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last: number[] = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const cost = left[i - 1] === right[j - 1] ? 0 : 1;
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1])
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[right.length] ?? 0;
}

/** The candidate with the fewest edits, the first of equals; null without candidates. Long input is cut before comparing. */
export function nearest(word: string, candidates: Iterable<string>): { readonly name: string; readonly edits: number } | null {
  const wanted = word.toLowerCase().replaceAll('-', '_').slice(0, 64);
  let best: { name: string; edits: number } | null = null;
  for (const name of candidates) {
    const edits = editDistance(wanted, name);
    if (best === null || edits < best.edits) best = { name, edits };
  }
  return best;
}
