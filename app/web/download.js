// A file that the server answered, stored where the browser stores downloads.
import { make } from "./dom.js";
import { decode } from "./drawing/heat.js";

const KEPT = 10000; // milliseconds after which the browser must have read it

/** @param {{name: string, data: string}} file its name, and its bytes in base64 */
export function download({ name, data }) {
  const link = make("a", { href: URL.createObjectURL(new Blob([decode(data)])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT);
}
