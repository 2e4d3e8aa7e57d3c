"""The strip of images: in which order they come, which of them pass the filters, and what there is to filter by."""
