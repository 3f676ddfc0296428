import { describe, expect, it } from 'vitest';
import { flag, integer, text } from '../../src/config/schema-types.ts';
import { Section } from '../../src/config/section.ts';

const FIELDS = { on: flag(true, 'On.'), size: integer(0, 9, null, 'Size.'), name: text(null, 'Name.') };

function section(): Section {
  const entry = (field: (typeof FIELDS)[keyof typeof FIELDS], value: string | number | boolean | null, isSet: boolean) => ({
    field,
    value,
    masked: null,
    isSet,
  });
  return new Section(
    'a.b',
    FIELDS,
    new Map([
      ['on', entry(FIELDS.on, true, false)],
      ['size', entry(FIELDS.size, null, false)],
      ['name', entry(FIELDS.name, 'x', true)],
    ]),
  );
}

describe('Section', () => {
  it('reads values by their type and knows which were given', () => {
    expect([section().flag('on'), section().maybeNumber('size'), section().text('name'), section().at('name')]).toEqual([
      true,
      null,
      'x',
      'a.b.name',
    ]);
    expect([section().isSet('on'), section().isSet('name'), section().hasAny(), section().hasAny(['on'])]).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it('throws on keys that the table does not have and on other types than it says', () => {
    expect(() => section().flag('off')).toThrow('a.b.off');
    expect(() => section().number('size')).toThrow('a.b.size');
    expect(() => section().flag('name')).toThrow('a.b.name');
    expect(() => section().choice('name', ['y'])).toThrow('a.b.name');
  });
});
