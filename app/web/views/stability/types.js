// What app/views/stability.py and epochs.py send: which query has each object.

/**
 * Which query has each object in each layer (or epoch) of one detector; `at` are its layers by the student's.
 * @typedef {object} Band
 * @property {string} side
 * @property {string} title
 * @property {string} role
 * @property {StabilityCell[][]} cells by object, then by layer or epoch
 * @property {number[]} [at]
 * @property {number} [flips]
 * @property {number[]} [instability]
 * @property {number[]} [set] instability, mean over the analysed images
 * @property {number[]} [epochs]
 */

/**
 * `runner_up` is the query that would be matched if this one were forbidden; -1 is no query.
 * @typedef {{query: number, cost: number | null, margin: number | null, runner_up: number}} StabilityCell
 */

/**
 * @typedef {object} StabilityView
 * @property {number} layers
 * @property {{index: number, name: string, change: string}[]} objects
 * @property {Band[]} bands
 * @property {number} known images of `total` that are analysed
 * @property {number} total
 * @property {string} says
 */

/**
 * The bands by epoch; for an image that was not recorded, why, and the keys of images that were.
 * @typedef {{layer: number, bands: Band[], says: string, recorded: string[]}} Past
 */

export {};
