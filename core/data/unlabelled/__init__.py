"""Images without labels: folders of images, files of predictions with scores, and their mixture with labelled images."""
