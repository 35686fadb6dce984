"""Everything that runs on the Ray cluster: recipes, sweeps, evaluation, the serving replica, the drift check.

This package never imports `ratchet` (the control plane). The two halves agree on `spec` and `catalog` alone.
"""
