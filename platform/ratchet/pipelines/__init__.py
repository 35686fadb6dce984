"""From a trigger to a new champion: train, gate, register, deploy, A/B test, promote."""
