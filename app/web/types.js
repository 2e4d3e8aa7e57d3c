// The data that the page starts from (app/server, app/views/header.py), and what its modules pass to each other.

/**
 * What the page shows first, and the colours by meaning (analysis/drawing/style.py).
 * @typedef {object} Start
 * @property {string} run
 * @property {string} compare
 * @property {string} image
 * @property {string} sort
 * @property {boolean} apart
 * @property {string[]} ramp
 * @property {Record<string, string>} colours
 * @property {Record<string, string>} dark those that are other ones on the dark theme
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
 * @property {boolean} apart an image for each detector
 * @property {number} floor the minimum score of a box
 * @property {number} top only so many queries of each detector; 0 for all
 * @property {string} only the class whose boxes are shown, "" for all
 * @property {boolean} names
 * @property {boolean} reads sampling locations of the selected query
 * @property {"boxes" | "density" | "layers"} look how boxes are drawn
 * @property {string} zoom the place of the image in the middle of the canvas, and the zoom; "" for the whole image
 * @property {string} show ids of boxes and lines that are switched on, unlike at first
 * @property {string} hide those that are switched off
 * @property {string} sort order of the images
 * @property {string} having class of which they have an object, "" for all
 * @property {string} count range of the number of objects of an image, as "FROM-TO", "" for any
 * @property {string} size range of the size of one of their objects, in pixels
 * @property {string} found range of the score of the detection that found it
 * @property {"" | "kept" | "gained" | "lost" | "missed"} change whether the compared runs find it
 * @property {boolean} filtering the panel of filters is open
 * @property {number} page of the images
 * @property {number | null} level of features, whose masks are shown
 * @property {number | null} stage the teacher's decoder layer whose masks are shown; null for the last
 * @property {"query" | "each" | "none"} over the mask over the image
 * @property {number} opacity of that mask
 * @property {string} pins queries of the six panels
 * @property {"layers" | "epochs"} ribbons
 * @property {string} term of the loss
 * @property {string} figure
 * @property {string} made switches of what figures are made from, those that are not as at first
 * @property {string} of the run of a figure of one run, "" for the selected one
 * @property {string} noted the text that listed notes have in them, "" for any
 * @property {string} tag of the notes that are listed, "" for any
 * @property {string} others ids of further runs in the charts of the overview, with commas between them
 * @property {"epoch" | "minutes"} by x axis of AP in the overview
 * @property {string} loss whose curves the overview shows, "total" for their sum
 * @property {number} smooth from 0 to below 1
 * @property {boolean} log axis of the loss
 * @property {string} steps of the loss that are seen, as "FROM-TO", "" for all
 */

/**
 * @typedef {object} Selection
 * @property {() => State} get
 * @property {(change: Partial<State>, how?: {quietly?: boolean}) => void} set `quietly` if not asked for by the user
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
 * @property {HTMLElement} root of the page
 * @property {(sentence: string) => void} notify shows a sentence for some seconds
 * @property {(sentence: string) => void} missing says what a link asked for and is not here
 * @property {(file: File) => Promise<void>} upload
 * @property {() => About | null} about of the run, once it is known
 * @property {() => string} current id of the view that is shown
 * @property {ReturnType<import("./stage/stage.js").stage>} stage
 * @property {(name: string) => void} figure opens a figure of the paper
 */

export {};
