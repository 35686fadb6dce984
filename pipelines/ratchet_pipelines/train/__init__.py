"""Training: one loop for every recipe, on one process or many.

A recipe gives a `Learner` (net, loss, data); `loop.fit` trains it under a `Strategy` (where the net lives) and tells a
`Reporter` (where metrics and checkpoints go). `launch` does so on the workers of Ray Train.
"""
