"""Parts of detectors: backbones, attention, position embeddings, and sampling of feature maps."""
