import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSecretFile, readTextFile } from '../../src/config/read-text.ts';
import { temporaryDirectory, temporaryFile } from './support.ts';

describe('readTextFile', () => {
  it('reads text up to the limit', () => {
    expect(readTextFile(temporaryFile('a', 'äb'), 3)).toEqual({ text: 'äb' });
    expect(readTextFile(temporaryFile('a', 'äbc'), 3)).toEqual({ fault: 'is larger than 3 bytes' });
  });

  it('says why a file cannot be had', () => {
    const directory = temporaryDirectory();
    expect(readTextFile(join(directory, 'none'), 9)).toEqual({ fault: 'does not exist' });
    expect(readTextFile(directory, 9)).toEqual({ fault: 'is a directory' });
    expect(readTextFile(temporaryFile('a', Buffer.from([0xff, 0xfe])), 9)).toEqual({ fault: 'is not valid UTF-8 text' });
    expect(readTextFile('/dev/zero', 9)).toEqual({ fault: 'is no regular file' });
    expect(readTextFile('a\0b', 9)).toHaveProperty('fault');
  });

  it('does not wait for a pipe that nobody writes to', () => {
    const pipe = join(temporaryDirectory(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(readTextFile(pipe, 9)).toEqual({ fault: 'is no regular file' });
  });
});

describe('readSecretFile', () => {
  it('drops one line end at the end and nothing else', () => {
    expect(readSecretFile(temporaryFile('a', ' x \n\n'))).toEqual({ text: ' x \n' });
    expect(readSecretFile(temporaryFile('a', 'x\r\n'))).toEqual({ text: 'x' });
    expect(readSecretFile(temporaryFile('a', '\n'))).toEqual({ fault: 'is empty' });
  });
});
