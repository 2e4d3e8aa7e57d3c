// A file, stored where the browser stores downloads.
import { make } from "./dom.js";
import { decode } from "./drawing/heat.js";

const KEPT = 10000; // milliseconds after which the browser must have read it

/** @param {{name: string, data: string}} file that the server answered: its name, and its bytes in base64 */
export const download = ({ name, data }) => store(new Blob([decode(data)]), name);

/** @param {Blob} blob */
export function store(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT);
}
