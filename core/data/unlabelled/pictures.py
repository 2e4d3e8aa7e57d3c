"""A folder of pictures without annotations, shown in place of the images of a run."""

from dataclasses import replace

from core.data.sample import Sample
from core.data.unlabelled.image_files import ImageFiles


class Pictures(ImageFiles):
    """All images of a folder. Each is a sample without objects, until a viewer gives it those of the teacher."""

    def __getitem__(self, index: int) -> Sample:
        """UserError: the image cannot be read."""
        return replace(super().__getitem__(index), truth="given")
