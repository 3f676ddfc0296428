/** `000` … `999`. */
export const THREE_DIGITS: readonly string[] = Array.from({ length: 1000 }, (_, count) => String(count).padStart(3, '0'));

/**
 * The decimal digits of a whole number ≥ 0 that counts up, as `String` gives them. V8 keeps the text of each number that it is asked for, in a
 * table of thousands: a number that never comes again leaves a text there that only a full collection frees. So only the thousands are asked for.
 */
export function wholeText(count: number): string {
  if (count < 1000) return String(count);
  const thousands = Math.floor(count / 1000);
  return String(thousands) + (THREE_DIGITS[count - thousands * 1000] as string);
}
