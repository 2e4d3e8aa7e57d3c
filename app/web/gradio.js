// What gradio's component gives to the page: `app/server/page.py` calls `receive`, and imports `page.js` afterwards.

/** @type {HTMLElement} the component's own element */
export let element;

/** @type {{ask: (question: {name: string, with: object}) => Promise<string>}} what may be called */
export let server;

/** @type {(file: File) => Promise<{path: string}>} stores a file where the app can read it */
export let upload;

/** @type {import("./types.js").Start} what to show first, and the colours */
export let START;

export function receive(given) {
  ({ element, server, upload, START } = given);
}
