import { createHash } from 'node:crypto';

/** Keys of one tag lie on one node of a Cluster, so that a script may touch a bucket and its tag's epoch. */
export const TAG_COUNT = 64;

export interface BucketKeys {
  readonly tag: number;
  /** Bucket, epoch. */
  readonly keys: readonly [string, string];
}

/**
 * Names of a bucket in Redis. What a caller may have chosen is hashed: of bounded length, without any character that means
 * something, and nothing about who calls can be read in Redis.
 */
export function bucketKeys(prefix: string, key: string): BucketKeys {
  const digest = createHash('sha256').update(key).digest();
  const tag = (digest[31] as number) % TAG_COUNT;
  return { tag, keys: [`${tagged(prefix, tag)}:${digest.toString('base64url').slice(0, 27)}`, epochKey(prefix, tag)] };
}

export function epochKey(prefix: string, tag: number): string {
  return `${tagged(prefix, tag)}:epoch`;
}

function tagged(prefix: string, tag: number): string {
  return `${prefix}{mg-${String(tag).padStart(2, '0')}}`;
}
