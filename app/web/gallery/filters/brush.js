// A part of a picture that is chosen by a drag from side to side, or one place by a click.

/**
 * @param {SVGSVGElement} svg
 * @param {(from: number, to: number) => void} choose called with fractions of the width while the drag goes on
 */
export function brush(svg, choose) {
  let begun = null;
  const at = ({ clientX }) => {
    const { left, width } = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / (width || 1)));
  };

  function drag(event) {
    if (begun === null) return;
    const now = at(event);
    choose(Math.min(begun, now), Math.max(begun, now));
  }

  function end() {
    begun = null;
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    begun = at(event);
    svg.setPointerCapture(event.pointerId);
    drag(event);
  });
  svg.addEventListener("pointermove", drag);
  svg.addEventListener("pointerup", end);
  svg.addEventListener("pointercancel", end);
}
