// Colours as every program that opens SVG reads them.

const known = new Map();
let pen = null;

/**
 * Any colour of CSS as "#rrggbb" and an opacity.
 * @param {string} css
 * @returns {{colour: string, opacity: number}}
 */
export function plain(css) {
  if (!known.has(css)) known.set(css, read(css));
  return known.get(css);
}

function read(css) {
  if (!pen) {
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    pen = canvas.getContext("2d", { willReadFrequently: true });
  }
  pen.clearRect(0, 0, 1, 1);
  pen.fillStyle = css;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
  const hex = [red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("");
  return { colour: `#${hex}`, opacity: Math.round((100 * alpha) / 255) / 100 };
}
