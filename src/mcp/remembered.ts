/** Clients of one kind send the same few header values; what a hostile one varies pushes out at most this many. */
const MAX_ENTRIES = 64;
const MAX_CHARS = 256;

/**
 * A pure function of a header value that remembers its last answers. Measured (`native-bench/media-types.ts`): reading the
 * two media headers of an ordinary call costs 2.7 µs, looking them up less than 0.1 µs.
 */
export function remembered<T>(read: (value: string) => T): (value: string) => T {
  const known = new Map<string, T>();
  return (value) => {
    const before = known.get(value);
    if (before !== undefined) return before;
    const now = read(value);
    if (value.length > MAX_CHARS) return now;
    if (known.size >= MAX_ENTRIES) known.clear();
    known.set(value, now);
    return now;
  };
}
