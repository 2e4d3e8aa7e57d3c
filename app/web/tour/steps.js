// The steps of the tour: what each says, and what it shows.

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {string} says
 * @property {(image: string, object: number) => Partial<import("../types.js").State>} shows
 */

/** @type {Step[]} */
export const STEPS = [
  {
    title: "Boxes and matches",
    says:
      "Each detector’s boxes have a colour, the objects are green. A line joins an object and the query that is " +
      "matched with it; the table beside the image has the cost of each pair.",
    shows: (image) => ({ tab: "matches", image, side: "", index: 0, layer: null }),
  },
  {
    title: "One object",
    says:
      "The panel shows the query that each detector matches with the selected object, and the queries of the lowest " +
      "cost. A click on a query explains its match: cost by part, margin, and the query that would take its place.",
    shows: (image, object) => ({ tab: "matches", image, side: "truth", index: object, layer: null }),
  },
  {
    title: "Through the layers",
    says:
      "This is the first decoder layer. The slider below the image, or the button beside it, goes through all of " +
      "them.",
    shows: (image, object) => ({ tab: "matches", image, side: "truth", index: object, layer: 0 }),
  },
  {
    title: "Is the match stable?",
    says: "A row for each object, a band for each detector. A cut is a flip to another query; pale is a small margin.",
    shows: (image, object) => ({ tab: "stability", image, side: "truth", index: object, layer: null }),
  },
  {
    title: "Show it to others",
    says:
      "“Make a figure” in Matches puts an image on one page, as PDF, SVG or PNG. “Copy link” copies the address " +
      "of exactly the view that you see.",
    shows: (image) => ({ tab: "matches", image, side: "", index: 0, layer: null }),
  },
];
