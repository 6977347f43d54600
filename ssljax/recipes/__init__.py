"""What the configs of one data set share: a module for each data set."""
