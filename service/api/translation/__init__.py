"""POST /translate/{direction}: one image, several images, or an image in JSON."""
