"""Networks that answer with a map or an image: decoders, and the U-Net."""
