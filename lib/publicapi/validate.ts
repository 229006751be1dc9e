// Checks a body against its schema of the contract, and says where it does not fit.

import type { z } from 'zod'
import type { Misfit } from './problem.ts'
import { Problem } from './problem.ts'

/** The value, typed. @throws Problem body-invalid, with a JSON pointer for each misfit */
export function validate<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const errors = result.error.issues.map(
    ({ path, message }): Misfit => ({ in: 'body', path: path.map((step) => `/${String(step)}`).join(''), message }),
  )
  const [first] = errors
  throw new Problem('body-invalid', `${first?.path || 'The body'}: ${first?.message}.`, { errors })
}
