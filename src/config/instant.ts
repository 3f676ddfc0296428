const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;

/**
 * Reads an RFC 3339 date-time, or a date, which means its first instant in UTC (the key is refused on that day). Wall
 * clock milliseconds, or null. Days that do not exist are refused, where `Date.parse` would roll them over.
 */
export function parseInstant(text: string): number | null {
  const match = DATE_TIME.exec(text) ?? DATE.exec(text);
  if (match === null) return null;
  const [, year = '', month = '', day = '', hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  if (!dayExists(Number(year), Number(month), Number(day)) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return null;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${fraction.slice(0, 4)}${zone.toUpperCase()}`);
  return Number.isNaN(ms) ? null : ms;
}

function dayExists(year: number, month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(year < 100 ? year + 400 : year, month, 0)).getUTCDate();
}

export function checkInstant(text: string): string | null {
  return parseInstant(text) === null ? 'must be an RFC 3339 time such as 2030-01-31T12:00:00Z, or a date' : null;
}
