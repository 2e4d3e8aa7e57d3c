"""The size of the runs that the browser tests open, and the names in their data, which are an attack."""

ATTACK = "<img src=x onerror=\"document.title='hacked'\">"
FILE = "<img src=x onerror=alert(1)>.png"
LAYERS, QUERIES = 3, 16
