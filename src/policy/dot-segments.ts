/** What `%2e` and the like become, however often they are encoded. */
const ENCODED = /%(?:25)*(2e|2f|5c)/gi;
const PLAIN: Readonly<Record<string, string>> = { '2e': '.', '2f': '/', '5c': '\\' };
/** Control characters and spaces, which parsers of addresses drop or cut off at the ends. */
const DROPPED = /[^!-\uffff]/g;
const SEGMENT_ENDS = /[/\\:?#;]/;

/**
 * Whether some reader of an address could take a segment of its path for `.` or `..` (RFC 3986, section 5.2.4; URL Standard), and so for another
 * place than it shows. In doubt it could.
 */
export function hasDotSegments(uri: string): boolean {
  if (!uri.includes('.') && !uri.includes('%')) return false;
  const text = uri.replace(DROPPED, '').replace(ENCODED, (_all, code: string) => PLAIN[code.toLowerCase()] ?? '');
  return text.split(SEGMENT_ENDS).some((segment) => segment === '.' || segment === '..');
}
