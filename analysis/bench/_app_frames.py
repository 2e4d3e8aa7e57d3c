"""How smoothly the app's canvas is zoomed and moved: the time of each frame while a gesture goes on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRAMES = 120  # of each gesture
# JavaScript that makes one step of a gesture a frame, and returns the milliseconds between the frames. Where the gesture
# turns round it starts again from the other side, so that all boxes and few of them are in view in turn.
GESTURE = """([gesture, frames]) => new Promise(done => {
    const overlay = document.querySelector('.dd-overlay'), area = overlay.getBoundingClientRect(), times = [];
    const middle = [area.left + area.width / 2, area.top + area.height / 2];
    overlay.setPointerCapture = () => {};
    const tell = (type, x) => overlay.dispatchEvent(new PointerEvent(type,
        {pointerId: 7, bubbles: true, clientX: x, clientY: middle[1] + x / 4}));
    const turn = down => overlay.dispatchEvent(new WheelEvent('wheel',
        {deltaY: down ? 40 : -40, bubbles: true, cancelable: true, clientX: middle[0], clientY: middle[1]}));
    const forth = k => k % 40 < 20;
    let last = 0, k = 0, x = middle[0];
    if (gesture === 'pan') tell('pointerdown', x);
    const step = now => {
        if (k) times.push(now - last);
        last = now;
        if (k++ === frames) { tell('pointerup', x); return done(times); }
        if (gesture === 'zoom') turn(!forth(k)); else tell('pointermove', x += forth(k) ? 9 : -9);
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""


def frame_times(page: "Page", gesture: str) -> list[float]:
    """Milliseconds between the frames of a gesture, "zoom" or "pan"; the image is fitted before and after it."""
    page.locator("[data-tool=fit]").click()
    times = page.evaluate(GESTURE, [gesture, FRAMES])
    page.locator("[data-tool=fit]").click()
    return times
