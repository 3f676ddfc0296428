import { choice, flag, type GroupField, group, groupList, integer, later, number, text, textMap } from './schema-types.ts';
import { checkHeaderValue, checkNoNul, checkToken, checkUrl } from './syntax.ts';

const ROTATION: GroupField = group('When the audit file is put aside and a new one begun.', {
  max_size_mb: number(0, 1_048_576, 100, 'Size in MiB at which the file is put aside; 0 = never.'),
  max_age_hours: number(0, 87_600, 0, 'Age in hours at which the file is put aside; 0 = never.'),
  keep: integer(0, 100_000, 10, 'Files kept beside the current one, the oldest are removed.'),
  compress: flag(true, 'Whether files put aside are compressed with gzip.'),
});

export const AUDIT: GroupField = group('The record of who did what, one JSON line per event.', {
  enabled: flag(true, 'Whether records are kept.'),
  stdout: flag(false, 'Whether records also go to standard output.'),
  file: text('mcp-guard-audit.jsonl', 'File for the records, mode 0600; relative to the configuration file. Empty = no file.', {
    isEmptyAllowed: true,
    check: checkNoNul,
  }),
  durability: choice(['batch'], 'batch', '`batch`: written at short intervals. `strict`: written before the answer is sent.', ['strict']),
  redaction_rules: groupList('What is removed from log and audit, besides known secrets.', {
    name: text(null, 'Name of the rule; unique.', { isRequired: true }),
    pattern: text(null, 'Regular expression (RE2 syntax: linear time, no backreferences).', { isRequired: true }),
    replacement: text('[redacted]', 'Written in its place.', { isEmptyAllowed: true }),
  }),
  rotation: ROTATION,
  chain: later(flag(false, 'Whether each record carries the hash of the one before.')),
  export_url: later(text(null, 'Where records are sent.', { check: checkUrl, sensitivity: 'references' })),
  export_format: later(choice(['json', 'ndjson', 'splunk_hec', 'datadog', 'elastic_bulk'], 'json', 'How records are written there.'), [
    'json',
  ]),
  export_batch_size: later(integer(1, 10_000, 100, 'Records per request.'), [100]),
  export_interval_secs: later(number(0.1, 3600, 5, 'Longest wait before a batch is sent.'), [5]),
  export_headers: later(textMap('Headers of those requests.', { sensitivity: 'secret', checkName: checkToken, check: checkHeaderValue })),
});

export const LOGGING: GroupField = group('The program log, on standard error.', {
  level: choice(['trace', 'debug', 'info', 'warn', 'error'], 'info', 'Least severe level that is written. `-v` means debug, `-vv` trace.'),
  format: choice(['auto', 'json', 'pretty'], 'auto', '`auto`: pretty on a terminal, JSON otherwise.'),
});
