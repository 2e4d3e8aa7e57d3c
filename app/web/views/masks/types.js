// What app/views/masks.py sends, and what the cards of this view share.

/** @typedef {import("../../types.js").Heat} Heat */

/**
 * The masks of the teacher's queries, and the weights of the feature loss that they make.
 * @typedef {object} MasksView
 * @property {number} gamma
 * @property {number | null} correlation
 * @property {number} most the largest value of all masks: the end of the one scale on which they are drawn
 * @property {number} area the part of the image inside the objects' boxes
 * @property {MaskQuery[]} queries
 * @property {{id: string, title: string, says: string, equation: string, own: boolean, heat: Heat}[]} weights
 * @property {(Heat & {sum: number}) | null} loss
 * @property {{letter: string, query: number, why: string}[]} panels
 */

/**
 * A teacher query; `counts` is the quality that weighs its mask in the loss, `inside` the part of it inside boxes.
 * Without objects there is no IoU and no quality.
 * @typedef {object} MaskQuery
 * @property {number} index
 * @property {string} class
 * @property {number} score
 * @property {number | null} overlap
 * @property {number | null} quality
 * @property {number} counts
 * @property {number | null} inside
 */

/**
 * What the cards of this view share.
 * @typedef {object} Masks
 * @property {import("../../types.js").App} app
 * @property {() => Look} look
 * @property {() => MasksView | null} view
 * @property {() => number} gamma
 * @property {() => number | null} chosen the teacher query that is chosen
 * @property {(query: number) => void} choose
 * @property {() => {key: string, run: string, level: number, stage: number}} where
 * @property {(queries: number[]) => Promise<Heat[]>} masksOf
 */

/**
 * What is looked at: `stage` is a decoder layer of the teacher, -1 for the last; `over` what is over the image.
 * @typedef {object} Look
 * @property {number} level
 * @property {number} stage
 * @property {"query" | "each" | "none"} over
 * @property {number} opacity
 * @property {number[]} pinned
 */

export {};
