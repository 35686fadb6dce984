"""The control plane of Ratchet, and its command line and SDK. Importing this package loads nothing else."""

__version__ = "0.1.0"
