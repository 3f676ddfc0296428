// Run as a program with `--trace-gc`: leaves garbage behind and then does next to nothing, as a gateway that waits. Ends with its standard input.
function garbage(): object[] {
  return Array.from({ length: 400 }, () => Array.from({ length: 2_000 }, (_, at) => ({ at })));
}

const made = garbage().length;
setInterval(() => Array.from({ length: 100 }, (_, at) => ({ at })), 100);
process.stdin.resume().on('end', () => process.exit(0));
console.log(`made ${made}`);
