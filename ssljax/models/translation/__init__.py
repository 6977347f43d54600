"""Networks from images to images of another domain, and the discriminators that judge these."""
