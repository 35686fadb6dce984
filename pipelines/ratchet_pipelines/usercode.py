"""What a custom job is given: where its code comes from, and the environment variables it starts with."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_ENV_CHARACTERS = 32 * 1024
"""Of all names and values together: they travel in the spec."""
FILE_GIT_VARIABLE = "RATCHET_ALLOW_FILE_GIT"
"""`1` where the platform's settings allow code from repositories at `file://`."""
RESERVED_VARIABLES = re.compile(r"^(RATCHET_|RAY_AUTH|MLFLOW_TRACKING_)|^(RAY_ADDRESS|MLFLOW_RUN_ID)$")
"""What the platform itself sets for a job."""
SECRET_VARIABLES = re.compile(
    r"(^|_)(TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|PRIVATE_KEY|ACCESS_KEY)$", re.IGNORECASE
)

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Word = Annotated[str, Field(max_length=8192, pattern=r"^[^\x00]*$")]
VariableName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Archive(Source):
    """Code that was uploaded (`POST /projects/{project}/bundles`), by the SHA-256 of the archive."""

    kind: Literal["archive"] = "archive"
    digest: Digest


class Git(Source):
    """Code from a Git repository at one commit. Submodules and large files (LFS) are not fetched."""

    kind: Literal["git"] = "git"
    url: str = Field(
        max_length=2048,
        pattern=r"^(https|ssh|file)://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9.\[/][A-Za-z0-9.:\[\]/_~%+-]*$",
    )
    """`https://` or `ssh://`, without a password. The keys of the cluster's nodes are used."""
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    """In full: a branch or a tag would be other code tomorrow."""


class Image(Source):
    """Code in a container image, built on the image of the cluster's nodes: the same Ray, Python and Ratchet."""

    kind: Literal["image"] = "image"
    # It becomes a part of a command line of Ray's: nothing that a shell would read as more than a name.
    uri: str = Field(max_length=512, pattern=r"^[0-9a-z][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$")
    """`registry/name:tag` or, better, `registry/name@sha256:…`."""


Code = Annotated[Archive | Git | Image, Field(discriminator="kind")]


def _checked(env: dict[str, str]) -> dict[str, str]:
    for name in env:
        if RESERVED_VARIABLES.search(name):
            raise ValueError(f"{name} is set by the platform")
        if SECRET_VARIABLES.search(name):
            raise ValueError(f"{name} looks like a secret, which a spec can't keep: set it on the cluster's nodes")
    if sum(len(name) + len(value) for name, value in env.items()) > MAX_ENV_CHARACTERS:
        raise ValueError(f"the variables are longer than {MAX_ENV_CHARACTERS:,} characters together")
    return env


Environment = Annotated[dict[VariableName, Word], Field(max_length=100), AfterValidator(_checked)]


def bundle_path(project: str, digest: str) -> str:
    """Where an uploaded archive is, below the root of the platform's storage."""
    return f"bundles/{project}/{digest.removeprefix('sha256:')}"
