// Loaded before every test file by scripts/run-tests.mjs: on SIGUSR2, which the runner sends to a file that does not come to
// an end, it prints what keeps the process alive.

process.on('SIGUSR2', () => {
  const counts = new Map()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const open = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ')
  process.stderr.write(`\nStill open: ${open || 'nothing that Node knows of'}.\n`)
})
