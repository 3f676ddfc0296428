/**
 * Cuts a byte stream into lines at LF only (a raw U+2028 inside a JSON string is no line end). A line over the limit is
 * dropped as it arrives, reported once by `onOversize`, and reading goes on behind it.
 */
export interface LineSplitter {
  push(chunk: Buffer): void;
}

export function createLineSplitter(maxLineBytes: number, onLine: (line: string) => void, onOversize: () => void): LineSplitter {
  let parts: Buffer[] = [];
  let heldBytes = 0;
  let isSkipping = false;

  function hold(part: Buffer): void {
    if (isSkipping) return;
    heldBytes += part.length;
    if (heldBytes <= maxLineBytes) {
      parts.push(part);
      return;
    }
    parts = [];
    isSkipping = true;
    onOversize();
  }

  function finish(): void {
    const line = isSkipping ? '' : Buffer.concat(parts).toString('utf8').trim();
    parts = [];
    heldBytes = 0;
    isSkipping = false;
    if (line !== '') onLine(line);
  }

  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        hold(chunk.subarray(start, end));
        finish();
        start = end + 1;
      }
      if (start < chunk.length) hold(chunk.subarray(start));
    },
  };
}
