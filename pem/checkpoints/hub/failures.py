"""Turns what huggingface_hub raises into one line with the cure."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pem_edge.pem import public_weights
from pem_edge.runtime.errors import CheckpointError, PemError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_LONGEST_REASON = 160


@contextmanager
def explained(name: str, revision: str) -> Iterator[None]:
    """Turn every exception of the ``with`` block, which fetches a model, into CheckpointError; not interruptions."""
    try:
        yield
    except PemError:
        raise
    except Exception as error:
        raise CheckpointError(explain(error, name, revision)) from error


def is_final(error: Exception) -> bool:
    """Return whether the hub was asked and its answer holds, so that the cache must not answer in its place."""
    from huggingface_hub import errors

    return isinstance(error, (PemError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError))


def explain(error: Exception, name: str, revision: str) -> str:
    """Return one line on why a model could not be fetched, with the cure."""
    from huggingface_hub import constants, errors

    match error:
        case errors.HfHubHTTPError():
            return _explain_answer(error, name, revision)
        case errors.OfflineModeIsEnabled():
            return (
                f"there is no file {name}, and of models, {name} at {revision} is not in the cache "
                f"{constants.HF_HUB_CACHE}, while HF_HUB_OFFLINE forbids to fetch it: correct the path, unset "
                f"HF_HUB_OFFLINE, or fetch it once with a network{_or_meant(name)}"
            )
        case errors.LocalEntryNotFoundError(__cause__=Exception() as cause):
            return explain(cause, name, revision)
        case OSError(errno=number) if number in _NO_ROOM:
            return (
                f"there is no room for {name} in {constants.HF_HUB_CACHE} ({error.strerror}): free some, or set "
                "HF_HOME to a folder on another disk"
            )
        case OSError(errno=int()) if error.filename is not None:
            return (
                f"cannot use the cache of the Hugging Face hub: {error.filename}: {error.strerror}; correct that, or "
                "set HF_HOME to a folder that can be written"
            )
    return (
        f"cannot fetch {name} from {constants.ENDPOINT} ({_reason(error)}): check the network, the proxy and "
        f"HF_ENDPOINT, and run this again{_or_meant(name)}"
    )


def _or_meant(name: str) -> str:
    """Return the listed name that was meant, "" if the hub must be asked whether there is a model of this one."""
    meant = public_weights.resembled(name)
    return "" if meant is None else f"; or did you mean {meant}?"


def _explain_answer(error: Exception, name: str, revision: str) -> str:
    from huggingface_hub import constants, errors

    assert isinstance(error, errors.HfHubHTTPError)
    status = error.response.status_code
    match error:
        case errors.GatedRepoError():
            return (
                f"{name} is given only to those whom its owner lets in: ask for access at {constants.ENDPOINT}/{name}, "
                f"and {_LOG_IN}"
            )
        case errors.RepositoryNotFoundError():
            return (
                f"there is no model {name} on {constants.ENDPOINT}, and no such file here, or the model is private "
                f"({_LOG_IN}): "
                f"{public_weights.suggestion(name)}"
            )
        case errors.RevisionNotFoundError():
            return (
                f"{name} has no revision {revision}: give a branch, a tag or a commit that is listed at "
                f"{constants.ENDPOINT}/{name}/commits/main"
            )
    if status == 401:
        return f"{constants.ENDPOINT} does not accept your token: {_LOG_IN}, or unset it"
    if status == 429:
        return (
            f"{constants.ENDPOINT} asks for fewer requests (429): wait some minutes; who is logged in may ask for more"
        )
    if status >= 500:
        return f"{constants.ENDPOINT} is in trouble ({status}): run this again later"
    return f"{constants.ENDPOINT} refuses {name} ({_reason(error)}): {_LOG_IN}, or choose another model"


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".removesuffix(": ").split())[:_LONGEST_REASON]
