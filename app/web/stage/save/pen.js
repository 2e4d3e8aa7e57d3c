// A pen with the part of a canvas's that the boxes are painted with; it writes SVG.
import { draw } from "../../dom.js";
import { plain } from "./colour.js";

export class SvgPen {
  globalAlpha = 1;
  lineWidth = 1;
  strokeStyle = "#000000";
  fillStyle = "#000000";
  font = "";
  textAlign = "start";
  #dash = [];
  #path = "";
  #groups = [draw("g", { fill: "none" })];
  #clips = 0;

  /** The node that holds all that was painted. */
  get node() {
    return this.#groups[0];
  }

  #put(tag, attributes, ...children) {
    const node = draw(tag, attributes, ...children);
    this.#groups[this.#groups.length - 1].append(node);
    return node;
  }

  #stroked() {
    const { colour, opacity } = plain(this.strokeStyle);
    const dash = this.#dash.length ? this.#dash.join(" ") : null;
    const width = { "stroke-width": this.lineWidth, "stroke-dasharray": dash };
    return { fill: "none", stroke: colour, "stroke-opacity": round(opacity * this.globalAlpha), ...width };
  }

  #filled() {
    const { colour, opacity } = plain(this.fillStyle);
    return { fill: colour, "fill-opacity": round(opacity * this.globalAlpha) };
  }

  save() {
    this.#groups.push(this.#put("g", {}));
  }

  restore() {
    this.#groups.pop();
  }

  /** Clips what follows until `restore` to the path. */
  clip() {
    const id = `painted-${this.#clips++}`;
    this.#put("clipPath", { id }, draw("path", { d: this.#path }));
    this.#groups[this.#groups.length - 1].setAttribute("clip-path", `url(#${id})`);
  }

  setLineDash(dash) {
    this.#dash = dash;
  }

  beginPath() {
    this.#path = "";
  }

  moveTo(x, y) {
    this.#path += `M${round(x)} ${round(y)}`;
  }

  lineTo(x, y) {
    this.#path += `L${round(x)} ${round(y)}`;
  }

  rect(x, y, width, height) {
    this.#path += `M${x} ${y}h${width}v${height}h${-width}z`;
  }

  /** A whole circle. */
  arc(x, y, radius) {
    const [left, r] = [round(x - radius), round(radius)];
    this.#path += `M${left} ${round(y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
  }

  stroke() {
    this.#put("path", { d: this.#path, ...this.#stroked() });
  }

  fill() {
    this.#put("path", { d: this.#path, ...this.#filled() });
  }

  strokeRect(x, y, width, height) {
    this.#put("rect", { x, y, width, height, ...this.#stroked() });
  }

  fillRect(x, y, width, height) {
    this.#put("rect", { x, y, width, height, ...this.#filled() });
  }

  fillText(text, x, y) {
    const anchor = this.textAlign === "center" ? "middle" : "start";
    this.#put(
      "text",
      { x: round(x), y: round(y), style: `font:${this.font}`, "text-anchor": anchor, ...this.#filled() },
      text,
    );
  }

  /** @param {HTMLCanvasElement} canvas */
  drawImage(canvas, x, y, width, height) {
    this.#put("image", { href: canvas.toDataURL(), x, y, width, height, preserveAspectRatio: "none" });
  }
}

const round = (value) => Math.round(value * 100) / 100;
