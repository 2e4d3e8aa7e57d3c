"""Converts detectors that others trained to detectors of this project.

`read` reads their files, `tensors` renames the tensors, `architecture` infers the Config, `classes` names the classes, and
`to_detector` puts all of it together.
"""
