"""Training: torchgeo datasets and samplers, augmentation, the Lightning module."""
