"""A train job, from its spec to its model in MLflow."""

from __future__ import annotations

import os
import threading

import ray

from ratchet_pipelines import notes, recipes
from ratchet_pipelines.spec import Envelope, Train
from ratchet_pipelines.train.spool import Spool


def train(envelope: Envelope) -> str:
    """Prepares the data, trains on the workers, logs the result in the run; returns a line that says it."""
    spec = envelope.spec
    assert isinstance(spec, Train)
    params = recipes.parse_params(spec.recipe, spec.params)
    recipe = recipes.load(spec.recipe)
    prepared = recipe.prepare(spec.data, params)
    ray.init(address="auto", log_to_driver=True)
    from ratchet_pipelines import results
    from ratchet_pipelines.train.launch import Training, last_checkpoint, launch, remove_old_checkpoints

    saved = _saved_by(envelope, envelope.job)
    remove_old_checkpoints(saved)
    noted = threading.Thread(target=results.log_origin, args=(envelope, params.model_dump()))
    noted.start()
    best = launch(
        Training(
            name=f"attempt-{envelope.attempt}",
            storage=saved,
            recipe=spec.recipe,
            params=spec.params,
            settings=recipe.settings(params, spec.seed),
            resources=spec.resources,
            run_id=envelope.run_id,
            spool=Spool.of(envelope),
            preempt_uri=f"{envelope.storage}/{notes.preempt_path(envelope.job, envelope.attempt)}",
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"),
            begin=last_checkpoint([saved, *(_saved_by(envelope, job) for job in envelope.resume_from)]),
        ),
        prepared.material,
    )
    noted.join()
    trained = recipe.result(prepared, params, best.weights)
    uri = results.log(envelope, trained, params.model_dump())
    measured = ", ".join(f"test/{name} {value:.4f}" for name, value in trained.test_metrics.items())
    return f"{uri}, {measured} (best epoch {best.epoch})."


def _saved_by(envelope: Envelope, job: str) -> str:
    return f"{envelope.storage}/jobs/{job}/ray"
