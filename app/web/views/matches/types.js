// What app/views/matches.py sends of one query or object, and of all objects.

/**
 * A query or object that a link leads to.
 * @typedef {{side: string, index: number, role: string}} ItemLink
 */

/**
 * One match of a query: its cost by part, its margin and runner-up.
 * @typedef {object} Match
 * @property {string} line
 * @property {string} title
 * @property {string} says
 * @property {string} name
 * @property {ItemLink} other
 * @property {{part: string, title: string, says: string, cost: number, weight: number, weighted: number}[]} parts
 * @property {number} plain the sum of the costs without weights
 * @property {number} total
 * @property {number | null} margin
 * @property {{name: string, other: ItemLink} | null} runner_up
 */

/**
 * The candidates of a query or object, in order of their cost.
 * @typedef {object} Ranking
 * @property {string} title
 * @property {string} says
 * @property {boolean} open
 * @property {string[]} columns
 * @property {{name: string, other: ItemLink, matched: boolean, parts: number[], total: number}[]} rows
 */

/**
 * A chosen query or object in one layer.
 * @typedef {object} QueryView
 * @property {string} side
 * @property {string} role
 * @property {number} index
 * @property {number} layer
 * @property {string} title
 * @property {string} where
 * @property {string} box
 * @property {string} says
 * @property {{name: string, score: number}[]} scores
 * @property {Match[]} matches
 * @property {Ranking[]} rankings
 */

/**
 * All objects with the queries they are matched with.
 * @typedef {object} Overview
 * @property {string} title
 * @property {string} says
 * @property {string} where
 * @property {{title: string, role: string}[]} sides
 * @property {OverviewRow[]} rows
 */

/**
 * An object, and for each side the query it is matched with.
 * @typedef {object} OverviewRow
 * @property {string} name
 * @property {ItemLink} other
 * @property {string} change between two students: "kept", "gained", "lost", "missed", or "" without a second one
 * @property {({total: number, other: ItemLink} | null)[]} answers
 */

export {};
