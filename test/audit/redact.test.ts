import { describe, expect, it } from 'vitest';
import { compileRedaction } from '../../src/audit/redact.ts';

const redact = compileRedaction([]);
const KEY = `mcp_${'aB3_-'.repeat(8)}xyz`;
const JWT = `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.${'s'.repeat(43)}`;

describe('compileRedaction', () => {
  it.each([
    ['an API key of ours', KEY],
    ['a bearer token', 'Bearer abcdef0123456789'],
    ['a basic credential in odd case', 'bAsIc dXNlcjpwYXNz'],
    ['a JWT', JWT],
    ['a JWT without its signature', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9'],
    ['an AWS key id', 'AKIAIOSFODNN7EXAMPLE'],
    ['a GitHub token', `ghp_${'a'.repeat(36)}`],
    ['a fine-grained GitHub token', `github_pat_${'a'.repeat(40)}`],
    ['a GitLab token', `glpat-${'a'.repeat(20)}`],
    ['an API key with the prefix sk-', `sk-proj-${'a'.repeat(30)}`],
    ['a Slack token', 'xoxb-1234567890-abcdefghij'],
    ['a Google API key', `AIza${'a'.repeat(35)}`],
    ['a private key', '-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----'],
  ])('row 203: replaces %s by the built-in patterns, with text before and after', (_, secret) => {
    const text = redact(`before ${secret} after`);
    expect(text).toMatch(/^before (?:Bearer )?\[redacted\] after$/);
    expect(redact(secret)).not.toContain(secret);
  });

  it.each([
    ['API_KEY=hunter2 rest', 'API_KEY=[redacted] rest'],
    ["MY_DB_PASSWORD = 'two words' rest", 'MY_DB_PASSWORD = [redacted] rest'],
    ['{"client_secret": "hunter2", "a": 1}', '{"client_secret": "[redacted]", "a": 1}'],
    ['X-Api-Key: hunter2', 'X-Api-Key: [redacted]'],
    ['Cookie: a=b; c=d', 'Cookie: [redacted]'],
    ['https://user:hunter2@example.com/a', 'https://[redacted]@example.com/a'],
    ['?access_token=hunter2&x=1', '?access_token=[redacted]&x=1'],
    ['{"password":"hun\\"ter2","a":1}', '{"password":"[redacted]","a":1}'],
    ['{"a":{"b":[{"refreshToken" : "hunter2"}]}}', '{"a":{"b":[{"refreshToken" : "[redacted]"}]}}'],
    ['{"outer":"{\\"apiKey\\":\\"hunter2\\",\\"x\\":1}"}', '{"outer":"{\\"apiKey\\":\\"[redacted]\\",\\"x\\":1}"}'],
    ['{"cookie":"hunter2","authorization":["hunter2","x"],"n":1}', '{"cookie":"[redacted]","authorization":[redacted],"n":1}'],
    ['{"secret":123456,"n":1}', '{"secret":[redacted],"n":1}'],
    ["{'password': 'hunter2', 'a': 1}", "{'password': '[redacted]', 'a': 1}"],
    ['password: hunter2', 'password: [redacted]'],
    ['run --api-token hunter2 --verbose', 'run --api-token [redacted] --verbose'],
  ])('hides the value in %s', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  it.each([
    'read_file',
    'mcp_filesystem_read_text_file',
    'get_token',
    'keyboard',
    'basic',
    'https://example.com/a@b',
    'no allowed_tools pattern matches',
    'Unexpected token: end of input',
    'denied_tools "get_token"',
    '{"total_tokens":12345,"sessions":"two"}',
    'the secret is out',
  ])('leaves %s alone', (text) => {
    expect(redact(text)).toBe(text);
  });

  it('row 203: applies configured rules after the built-in ones, with groups in the replacement', () => {
    const own = compileRedaction([
      { name: 'mail', pattern: '[\\w.]+@([\\w.]+)', replacement: '*@$1' },
      { name: 'card', pattern: '\\b\\d{4} \\d{4}\\b', replacement: '####' },
    ]);
    expect(own('alice@example.com paid 1234 5678')).toBe('*@example.com paid ####');
  });

  it('hides the configured secrets themselves, the longest first, and not the short ones', () => {
    const own = compileRedaction([], ['correct-horse', 'correct-horse-battery', 'dev']);
    expect(own('a correct-horse-battery and correct-horse in dev')).toBe('a [redacted] and [redacted] in dev');
  });

  it('stays linear on texts made to be slow', () => {
    const started = performance.now();
    for (const evil of [
      'eyJ'.repeat(1400),
      'mcp_'.repeat(1000),
      'password='.repeat(450),
      '://a:'.repeat(800),
      '-----BEGIN PRIVATE KEY-----'.repeat(150),
      '"password":"\\\\'.repeat(300),
      'password\\\\":'.repeat(300),
      '--token '.repeat(500),
      '"cookie":['.repeat(400),
    ])
      redact(evil);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
