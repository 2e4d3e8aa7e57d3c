// What app/views/losses.py sends: the terms of the loss on one image.

/**
 * One term of a loss; `layers` are its sums by layer, unweighted.
 * @typedef {object} Term
 * @property {string} id
 * @property {string} title
 * @property {string} says
 * @property {number[]} layers
 * @property {number} sum
 * @property {number} weight
 * @property {number} weighted
 * @property {number} share
 */

/** @typedef {{name: string, says: string, terms: Term[], weighted: number, share: number}} Loss */

/** @typedef {{losses: Loss[], total: number, says: string}} LossesView */

/**
 * The values of a term, unweighted: `heat` over the image, or `values` of the queries of a side ("" if of none).
 * @typedef {object} TermView
 * @property {string} id
 * @property {number} layer
 * @property {number} layers
 * @property {number} sum
 * @property {import("../../types.js").Heat} [heat]
 * @property {number[]} [values]
 * @property {string} [side]
 */

export {};
