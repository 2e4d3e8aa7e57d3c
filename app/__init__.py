"""The page in the browser that shows a run.

A request goes down these parts, and plain data comes back:

    server    an endpoint in handlers.py: finds the runs, has the image replayed, calls a view
    views     functions from a Display, and what else they need, to the plain data that the page draws
    jobs      what takes long: figures, a training, diagnoses
    worker    opens runs, and replays images in one thread, the last requested first
    replay    a Display: the replays of one image with its sides, costs and pairs, each computed once
"""
