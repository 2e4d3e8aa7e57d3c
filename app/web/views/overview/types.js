// What the endpoints `overview` and `verdict` answer (app/views/overview/overview.py). APs are 0 to 100.

/**
 * What a run recorded; all but `id` is missing where `lacks` says why.
 * @typedef {object} Record
 * @property {string} id
 * @property {string} lacks
 * @property {"student" | "distilled"} kind
 * @property {string} detector
 * @property {string} data
 * @property {number} seed
 * @property {number} epochs that were trained
 * @property {number} planned epochs
 * @property {{epoch: number, minutes: number | null, ap: number}[]} ap
 * @property {number | null} teacher its AP
 * @property {{student: Parts | null, teacher: Parts | null}} scores
 * @property {string[]} losses
 * @property {({step: number, total: number | null} & {[loss: string]: number | null})[]} curve
 * @property {{loss: string, share: number, features: number | null, decoder: number | null}[]} pulls
 * @property {number | null} step_seconds
 * @property {number} steps
 */

/** @typedef {{[name: string]: number | null}} Aps by size or class */

/** @typedef {{all: number | null, sizes: Aps, classes: Aps}} Parts */

/** @typedef {{text: string, to: string}} Clause */

/** @typedef {{single: number, mean: number, half: number | null, seeds: number, same_training: boolean}} Gain */

/** @typedef {{runs: Record[], partners: string[], clauses: Clause[], gain: Gain | null}} Recorded */

/**
 * Objects of so many images of all.
 * @typedef {{known: number, total: number, objects: number} & {[kind: string]: number}} Counts
 */

/**
 * @typedef {object} Masks
 * @property {number} images
 * @property {number | null} correlation
 * @property {number | null} error
 * @property {number} area
 * @property {(number | null)[]} inside by bin of quality
 * @property {number[]} count of queries in each bin
 */

/** @typedef {{instability: {stages: number[], moved: number[]}, masks: Masks}} Measured */

/**
 * The measurements of a run on its first images.
 * @typedef {object} Measurements
 * @property {number} done
 * @property {number} total
 * @property {string} error
 * @property {Measured | null} student
 * @property {Measured | null} teacher
 * @property {{class: (number | null)[], iou: (number | null)[], object: (number | null)[]} | null} agreement
 */

/** @typedef {import("../diagnosis/diagnosis.js").Diagnosis & {said?: string}} Diagnosis */

/**
 * @typedef {object} Verdict
 * @property {Clause[]} clauses
 * @property {Counts} counts
 * @property {Diagnosis[]} doctor
 * @property {Measurements[]} measured
 * @property {string} said why the second run is not shown on the images of the first
 * @property {boolean} done
 */

export {};
