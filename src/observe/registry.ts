import { type Metric, Registry } from 'prom-client';
import type { Collected } from './families.ts';

/** A registry of our own families; prom-client asks them through `get` and writes the exposition. */
export function registryOf(families: readonly Collected[]): Registry {
  const registry = new Registry();
  // prom-client needs a name and `get` of a metric; its type asks for one of its own classes.
  for (const family of families) registry.registerMetric(family as unknown as Metric);
  return registry;
}
