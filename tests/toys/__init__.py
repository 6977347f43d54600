"""Methods of shapes that are to come, each as small as it can be and in one file."""
