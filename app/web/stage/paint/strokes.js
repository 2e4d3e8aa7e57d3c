// A path and a dot, as trails and the lines of pairs have them.

/** @param {CanvasRenderingContext2D} pen */
export function strokePath(pen, points, style, width, dash) {
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  points.forEach(([x, y], k) => {
    k ? pen.lineTo(x, y) : pen.moveTo(x, y);
  });
  pen.stroke();
}

/** @param {CanvasRenderingContext2D} pen */
export function fillDot(pen, [x, y], colour, radius = 3.5) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fillStyle = colour;
  pen.setLineDash([]);
  pen.strokeStyle = "rgb(0 0 0 / .6)";
  pen.lineWidth = 1;
  pen.fill();
  pen.stroke();
}
