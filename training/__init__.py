"""Fits the vanilla GAN and CycleGAN: from real images to checkpoints."""
