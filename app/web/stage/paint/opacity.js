// How strong a box is: by its score.

/** Of more boxes, those of a low score are thin and pale. */
export const MANY = 100;

/** Boxes of a higher score are stronger, the more so where there are many; all but the truth are pale over a map. */
export function opacity({ side, score }, many, heat) {
  if (side === "truth") return 1;
  return (many ? 0.06 + 0.94 * score * score : 0.2 + 0.8 * score) * (heat ? 0.2 : 1);
}
