// Differences that may be negative, as numbers that are not, small where the difference is: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
// Exact for differences in (-2^52, 2^52).

export const zigzag = (difference: number): number => (difference >= 0 ? difference * 2 : -difference * 2 - 1)
export const unzigzag = (code: number): number => (code % 2 === 0 ? code / 2 : -(code + 1) / 2)
