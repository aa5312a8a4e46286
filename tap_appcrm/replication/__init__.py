"""Which contacts are read, in which order, and how it is proven that none is missing."""
