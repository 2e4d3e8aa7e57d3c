// The data that the page starts from (app/server, app/views/header.py), and what its modules pass to each other.

/**
 * What the page shows first, and the colours by meaning (analysis/drawing/style.py).
 * @typedef {{run: string, compare: string, image: string, ramp: string[], colours: Record<string, string>}} Start
 */

/**
 * A run: its detectors, classes, and the strides of the teacher's feature levels.
 * @typedef {object} About
 * @property {Detector} student
 * @property {Detector | null} teacher
 * @property {string[]} classes
 * @property {number[]} strides
 * @property {number} gamma of Eq. 8, as the run's feature loss has it
 * @property {string} first key of the first image
 * @property {string[]} notes
 */

/** @typedef {{kind: string, backbone: string | null, layers: number, queries: number, ap: number | null}} Detector */

/**
 * A map over an image: a byte for each place; `span` is the part of the image's width and height that it covers.
 * @typedef {{rows: number, columns: number, span: [number, number], most: number, mean: number, grid: string}} Heat
 */

/**
 * What is selected, in the address bar too.
 * @typedef {object} State
 * @property {string} run
 * @property {string} compare
 * @property {string} image
 * @property {number | null} layer
 * @property {string} side
 * @property {number} index
 * @property {number | null} gamma
 * @property {string} tab
 * @property {string} figure
 */

/**
 * @typedef {object} Selection
 * @property {() => State} get
 * @property {(change: Partial<State>) => void} set
 * @property {(watcher: (state: State, changed: Set<string>) => void) => void} watch called after each change
 */

/**
 * A tab of the page: nodes beside the canvas, below it, or in place of it.
 * @typedef {object} View
 * @property {string} id
 * @property {string} title
 * @property {Node} [side]
 * @property {Node} [wide]
 * @property {Node} [full]
 * @property {string[]} [needs] keys of the state after whose change it is loaded again
 * @property {(changed?: Set<string>) => void} load
 */

/**
 * What every part of the page may use.
 * @typedef {object} App
 * @property {Selection} state
 * @property {(sentence: string) => void} notify shows a sentence for some seconds
 * @property {(file: File) => Promise<void>} upload
 * @property {() => About | null} about of the run, once it is known
 * @property {() => string} current id of the view that is shown
 * @property {ReturnType<import("./stage/stage.js").stage>} stage
 * @property {(name: string) => void} figure opens a figure of the paper
 */

export {};
