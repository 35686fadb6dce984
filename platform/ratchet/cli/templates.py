"""The files that `ratchet init` writes: what each kind needs, and beside it, as comments, what is most often wanted."""

from __future__ import annotations

TEMPLATES = {
    "train": """\
kind: train
name: cancer
recipe: tabular
data:
  uri: sklearn://breast_cancer  # or a Parquet or CSV file or folder: file:///…, s3://…
  target: target
params:
  epochs: 20
  # hidden: [64, 64]
  # learning_rate: 3e-3
model: cancer  # the registered model that the result becomes a version of
# seed: 0
# resources:
#   workers: 2
#   cpus_per_worker: 1
#   gpus_per_worker: 0
# priority: 0
# deadline_s: 3600
""",
    "sweep": """\
kind: sweep
name: cancer-sweep
recipe: tabular
data:
  uri: sklearn://breast_cancer
search:
  learning_rate: {kind: uniform, low: 1e-4, high: 1e-1, log: true}
  batch_size: {kind: choice, values: [16, 32, 64]}
params:
  epochs: 20
trials: 8
max_concurrent: 2
metric: val/loss
mode: min
model: cancer
""",
    "evaluate": """\
kind: evaluate
data:
  uri: sklearn://breast_cancer
models:
  - {name: cancer, version: 1}
  # - {name: cancer, version: 2}
""",
    "batch_prediction": """\
kind: batch_prediction
model: {name: cancer, alias: champion}  # or a version
input: sklearn://breast_cancer
# output: s3://bucket/predictions/  # a folder in the platform's storage when not given
# chunk_rows: 10000
# resources:
#   workers: 2
""",
    "custom": """\
kind: custom
name: my-program
code: {kind: git, url: https://git.example.com/team/project.git, commit: "0000000000000000000000000000000000000000"}
entrypoint: [python, train.py, --epochs, "20"]
# env: {LOG_LEVEL: info}  # no secrets: everybody who sees the job sees them
# resources:
#   gpus_per_worker: 1
""",
    "endpoint": """\
kind: endpoint
name: cancer
variants:  # the weights sum to 1
  - {name: a, model: cancer, version: 1, weight: 0.9}
  - {name: b, model: cancer, alias: candidate, weight: 0.1}  # follows the alias wherever it goes
replicas: 1
# cpus_per_replica: 0
""",
    "abtest": """\
kind: abtest
name: b-better
endpoint: cancer
control: a
treatment: b
metric: {kind: accuracy}
alpha: 0.05  # the chance that the verdict is wrong, over all looks
# min_effect: 0
# min_units: 100
# max_units: 20000
# on_win: promote
""",
    "webhook": """\
kind: webhook
name: on-call
url: https://hooks.example.com/ratchet
events: [job.failed, "alert.*"]  # the secret that signs them is in the answer that creates it, this once
# enabled: true
""",
    "quota": """\
kind: quota
cpus: 64  # what is left out has no limit
gpus: 8
jobs: 20
gpu_hours: 500  # in a calendar month
weight: 1  # its part in the fair share between projects
""",
    "monitor": """\
kind: monitor
name: cancer-drift
endpoint: cancer
schedule: "0 * * * *"  # cron, UTC
# window_s: 3600
# alpha: 0.01
# min_rows: 100
# pipeline: retrain-cancer  # what an alert starts
""",
    "pipeline": """\
kind: pipeline
name: retrain-cancer
train:
  kind: train
  recipe: tabular
  data: {uri: sklearn://breast_cancer}
  model: cancer
gate:
  metric: accuracy
  minimum: 0.9
  # max_regression: 0
  data: {uri: sklearn://breast_cancer}
endpoint: cancer
challenger_weight: 0.5
# schedule: "0 3 * * 0"  # cron, UTC
""",
}
