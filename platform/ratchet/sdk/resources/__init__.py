"""What the API gives, typed.

A field that this version does not know is kept, so that a newer server's answer loses nothing on the way through
(`model_dump`, `--json`); a field that the server leaves out has a default.
"""

from ratchet.sdk.resources.base import Resource
from ratchet.sdk.resources.jobs import (
    Attempt,
    Failure,
    Job,
    LogEntry,
    LogPage,
    ModelRef,
    Plan,
    Point,
    Series,
    Trial,
    Waiting,
)
from ratchet.sdk.resources.models import AliasMove, Evidence, Model, Promotion, Rule, Version
from ratchet.sdk.resources.platform import (
    Break,
    Cluster,
    Event,
    Info,
    Me,
    Project,
    Recipe,
    Target,
    Token,
    Urls,
    Verification,
)
from ratchet.sdk.resources.serving import Endpoint, EndpointVariant, OutcomesReceipt, Prediction, TrafficPoint
from ratchet.sdk.resources.watch import (
    ABTest,
    Alert,
    Check,
    Estimate,
    Monitor,
    Pipeline,
    PipelineRun,
    SampleRatio,
    Step,
    Trigger,
)

__all__ = [
    "ABTest",
    "Alert",
    "AliasMove",
    "Attempt",
    "Break",
    "Check",
    "Cluster",
    "Endpoint",
    "EndpointVariant",
    "Estimate",
    "Event",
    "Evidence",
    "Failure",
    "Info",
    "Job",
    "LogEntry",
    "LogPage",
    "Me",
    "Model",
    "ModelRef",
    "Monitor",
    "OutcomesReceipt",
    "Pipeline",
    "PipelineRun",
    "Plan",
    "Point",
    "Prediction",
    "Project",
    "Promotion",
    "Recipe",
    "Resource",
    "Rule",
    "SampleRatio",
    "Series",
    "Step",
    "Target",
    "Token",
    "TrafficPoint",
    "Trial",
    "Trigger",
    "Urls",
    "Verification",
    "Version",
    "Waiting",
]
