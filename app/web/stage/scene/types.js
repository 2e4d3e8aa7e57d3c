// An image with its boxes and matched pairs: what app/views/scene.py sends, and one layer of it as items.
// Boxes are [x0, y0, x1, y1] in fractions of the image. Layers count from 0 and are shown from 1.

/** @typedef {[number, number, number, number]} Box */

/**
 * An image and its objects, before any detector has run.
 * @typedef {object} Picture
 * @property {string} key
 * @property {string} name
 * @property {number} width in pixels
 * @property {number} height
 * @property {string} image a data URL
 * @property {string[]} classes
 * @property {Group} truth
 */

/**
 * All boxes and matched pairs of an image, in every decoder layer of the student.
 * @typedef {object} Scene
 * @property {string} key of the image
 * @property {number} layers
 * @property {Group[]} groups
 * @property {Line[]} lines
 * @property {string} banner
 * @property {string[]} notes
 * @property {"given" | "pseudo" | "none"} [truth]
 * @property {("kept" | "gained" | "lost" | "missed")[]} [changes] of each object between two students
 * @property {boolean} [partial] not all detectors are done
 */

/**
 * The boxes of one side of a scene: "student", "teacher", "other", "truth", or a further group of queries.
 * @typedef {object} Group
 * @property {string} id
 * @property {string} role whose colour it has
 * @property {string} title
 * @property {string} one the name of one member: "student query"
 * @property {string} says
 * @property {boolean} extra a further group of queries, decoded by the student
 * @property {boolean} on shown at first
 * @property {Frame[]} layers one for each layer of the scene, or a single one that holds for all
 * @property {number[]} [of] the layer of this side that is shown with each layer of the student, counted from 1
 */

/** @typedef {{boxes: Box[], scores: number[] | null, labels: number[]}} Frame */

/**
 * One kind of matched pairs, drawn as lines between two groups.
 * @typedef {object} Line
 * @property {string} id
 * @property {string} title
 * @property {string} says
 * @property {string} from id of a group
 * @property {string} to
 * @property {boolean} on shown at first
 * @property {"solid" | "dashed" | "dotted"} look
 * @property {[number, number, number | null][][]} layers of each layer: index in `from`, index in `to`, cost
 */

/**
 * A box of one layer.
 * @typedef {{side: string, index: number, box: Box, score: number, label: number, group: Group}} Item
 */

/**
 * A matched pair of one layer; `ends` if one of the two is chosen.
 * @typedef {{line: Line, cost: number | null, from: Item, to: Item, ends?: boolean}} Pair
 */

/**
 * One layer of a scene.
 * @typedef {object} LayerItems
 * @property {number} layer
 * @property {Record<string, Item[]>} sides
 * @property {{line: Line, pairs: Pair[]}[]} lines
 * @property {(place: {side: string, index: number}) => Item | null} find
 */

export {};
