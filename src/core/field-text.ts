declare const isFieldText: unique symbol;

/**
 * Header fields as one text, `\r\nname: value` each: for fields that stand in every answer, where a name, a value and a look at both
 * would each cost as much as the text. Made of constants and numbers only: nobody looks at it again before it is written.
 */
export type FieldText = string & { readonly [isFieldText]: true };

export const NO_FIELDS: FieldText = '' as FieldText;

/** The same as names and values. */
export function fieldPairs(fields: FieldText): string[] {
  return fields
    .split('\r\n')
    .slice(1)
    .flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
}
