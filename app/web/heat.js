// Maps over an image: a byte for each place, painted in one ramp from nothing to bright.
const rgb = colour => [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));
const RAMP = START.ramp.map(rgb);

function ramp(value) {
  const at = value * (RAMP.length - 1), low = Math.min(RAMP.length - 2, Math.floor(at)), part = at - low;
  return RAMP[low].map((c, k) => c + part * (RAMP[low + 1][k] - c));
}

const SHADES = Array.from({length: 256}, (_, k) => [...ramp(k / 255), 255 * Math.min(1, 1.6 * Math.sqrt(k / 255))]);

function bytes(heat) {
  return heat.bytes || (heat.bytes = Uint8Array.from(atob(heat.grid), c => c.charCodeAt(0)));
}

// Paints a map on a canvas that lies over the image; a map may reach beyond the image's rim.
function paintHeat(heat, canvas) {
  canvas.width = heat.columns;
  canvas.height = heat.rows;
  canvas.style.width = percent(heat.span[0]);
  canvas.style.height = percent(heat.span[1]);
  const context = canvas.getContext('2d'), pixels = context.createImageData(heat.columns, heat.rows);
  bytes(heat).forEach((value, k) => pixels.data.set(SHADES[value], 4 * k));
  context.putImageData(pixels, 0, 0);
  canvas.dataset.most = heat.most;
}

// A small picture of a map over the dimmed image, with a caption.
function tile(picture, heat, {title, says, equation, note, chosen, id, onclick} = {}) {
  const canvas = make('canvas', {class: 'dd-heat'});
  if (heat) paintHeat(heat, canvas);
  const face = make(onclick ? 'button' : 'div', {type: onclick && 'button', class: 'face', style: `--w:${picture.width};--h:${picture.height}`, onclick: onclick || (() => {})}, make('img', {src: picture.image, alt: '', draggable: 'false', class: `${heat ? 'dim' : ''} ${picture.width < 240 ? 'coarse' : ''}`}), heat && canvas);
  return make('figure', {class: `dd-tile${chosen ? ' chosen' : ''}`, 'data-tile': id}, face, make('figcaption', null, make('b', null, title), says && help(says, equation), note && make('small', null, note)));
}
