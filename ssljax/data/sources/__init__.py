"""Where images come from: TFDS, folders, the digits of scikit-learn, and parts of them."""
