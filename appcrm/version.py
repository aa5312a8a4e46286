"""The version of the distribution, written once: the build reads it here, and so do the connectors."""

VERSION = "0.1.0"
