// Colours as numbers, and the ramp of the maps: from transparent for 0 to bright for the largest value.
import { START } from "../gradio.js";

/** Red, green and blue of "#rrggbb". */
export const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

/** The colour of a role, on the theme that the page has now. @param {string} role */
export const colourOf = (role) => (isDark() && START.dark[role]) || START.colours[role];

const isDark = () => document.body.classList.contains("dark");

/** Tells of each change of the theme. @param {() => void} tell */
export function watchTheme(tell) {
  let was = isDark();
  const look = () => {
    if (isDark() === was) return;
    was = !was;
    tell();
  };
  new MutationObserver(look).observe(document.body, { attributeFilter: ["class"] });
}

/** The colour between two others, 0 for the first. */
export const blend = (a, b, part) => a.map((c, k) => c + part * (b[k] - c));

const RAMP = START.ramp.map(rgb);

function ramp(value) {
  const at = value * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(at));
  return blend(RAMP[low], RAMP[low + 1], at - low);
}

const opacity = (value) => 255 * Math.min(1, 1.6 * Math.sqrt(value));

/** Red, green, blue and opacity of each byte of a map. */
export const SHADES = Array.from({ length: 256 }, (_, k) => [...ramp(k / 255), opacity(k / 255)]);
