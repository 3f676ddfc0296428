/** Version of the package; `test/docs` checks that it agrees with package.json. */
export const VERSION: string = '0.1.0';
