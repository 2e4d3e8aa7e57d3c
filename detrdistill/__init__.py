"""DETRDistill: knowledge distillation for the DETR family."""
