"""What is served: endpoints, the variants behind them and their weights, outcomes, and the prediction log."""
