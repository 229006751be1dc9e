// Which of the types on offer suits an Accept header best (RFC 9110, section 12.5.1).

import { Problem } from './problem.ts'

/**
 * The offer with the highest quality; the earlier one where two are equal, so that `*` and `*` gets the first.
 * @param offers media types without parameters, the preferred one first
 * @throws Problem not-acceptable when every offer is excluded
 */
export function negotiate<Offer extends string>(accept: string | undefined, offers: readonly Offer[]): Offer {
  if (accept === undefined || accept === '*/*' || accept === '') return offers[0]!
  let best: Offer | undefined
  let bestQuality = 0
  for (const offer of offers) {
    const quality = qualityOf(accept, offer)
    if (quality > bestQuality) {
      best = offer
      bestQuality = quality
    }
  }
  if (best === undefined) {
    throw new Problem('not-acceptable', `The answer can be given as ${offers.join(' or ')}; Accept is "${accept}".`)
  }
  return best
}

/** The quality of one type: that of the most specific range that names it. */
function qualityOf(accept: string, type: string): number {
  let quality = 0
  let specificity = 0
  for (const part of accept.split(',')) {
    const [range = '', ...parameters] = part.split(';')
    const specific = specificityOf(range.trim().toLowerCase(), type)
    if (specific <= specificity) continue
    specificity = specific
    const weight = parameters.map((parameter) => parameter.trim()).find((parameter) => /^q=/i.test(parameter))
    const parsed = weight === undefined ? 1 : Number(weight.slice(2))
    quality = parsed >= 0 && parsed <= 1 ? parsed : 0
  }
  return quality
}

function specificityOf(range: string, type: string): number {
  if (range === type) return 3
  if (range === `${type.slice(0, type.indexOf('/'))}/*`) return 2
  return range === '*/*' ? 1 : 0
}
