"""MLflow behind the API: one address and one login, and the same projects as everywhere else."""
