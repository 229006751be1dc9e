// Why a home gives no numbers, in words for people: what happened, and what to do about it.

import { CounterError } from '../base/errors.ts'
import type { Verdict } from './home-tenure.ts'

/** What a verdict other than to give numbers says at this node. */
export function troubleOf(node: number, { kind, why }: Extract<Verdict, { why: string }>): CounterError {
  const home = `node ${node} is the home of the sequences`
  switch (kind) {
    case 'wait':
      return unavailable(
        `${home} and gives no numbers yet: ${why}`,
        'Start the nodes that are missing; those that are gone for good are taken out with `counter cluster remove`. ' +
          'When there are none to be found: `counter sequence recover --ahead 0 --force`.',
      )
    case 'conflict':
      return unavailable(
        `${home} by its own settings, but ${why}`,
        'Set COUNTER_SEQUENCE_HOME to the same node on all nodes, and restart those where it was another.',
      )
    case 'lost':
      return unavailable(
        `${home} and refuses to give numbers, some of which may have been given before: ${why}`,
        'Let it go on above all that was given: `counter sequence recover --ahead 1000` starts each sequence 1000 above the ' +
          'greatest number that any node has heard of.',
      )
  }
}

export function unavailable(message: string, fix?: string): CounterError {
  return new CounterError('SEQUENCE_UNAVAILABLE', message, fix === undefined ? {} : { fix })
}
