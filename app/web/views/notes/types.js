// What the endpoint `notes` answers (app/views/notes/listing.py).

/**
 * A note on an image, or on one of its objects; `key` is "" where the image is not among those that are shown.
 * @typedef {object} Note
 * @property {string} id
 * @property {string} key
 * @property {number} image
 * @property {string} file
 * @property {number | null} object
 * @property {string} class
 * @property {string} text
 * @property {string[]} tags
 * @property {string} written
 */

/** @typedef {{notes: Note[], tags: {[tag: string]: number}, total: number, file: string}} Notes */

export {};
