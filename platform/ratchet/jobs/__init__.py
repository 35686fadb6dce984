"""A unit of compute: train, sweep, evaluate, drift check. Queued here, run by Ray, its results kept by MLflow."""
