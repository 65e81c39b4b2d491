"""A model comes from the hub once, whole and as it was published, and from the cache after that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reference.huggingface.hub_server import HubServer
from tests.helpers.processes import started
from tests.pem.checkpoints.hub.conftest import LARGE, NO_NETWORK, OFFLINE, Fetcher

Publish = Callable[..., str]

CONFIG = {"config.json": "{}", "preprocessor_config.json": '{"size": 1}'}
MODEL: dict[str, bytes | str | int] = {**CONFIG, "model.safetensors": LARGE}


def index(*parts: str) -> str:
    return json.dumps({"metadata": {}, "weight_map": {f"layer.{number}": part for number, part in enumerate(parts)}})


def test_a_model_is_fetched_once(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    commit = publish({**MODEL, "README.md": "hello"})
    first = fetch()
    assert (first.name, first.revision, first.error) == (fetch.name, commit, "")
    published = hub.repositories[fetch.name].commits[commit]
    assert first.files == {file: (published / file).read_bytes() for file in MODEL}
    assert first.said == (f"fetching {fetch.name} at {commit[:12]} from {hub.url}: model.safetensors, 0.3 MB",)

    hub.requests.clear()
    second = fetch()
    assert (second.folder, second.files, second.said) == (first.folder, first.files, ())
    assert hub.fetched(fetch.name) == []


@pytest.mark.parametrize("environment", [NO_NETWORK, OFFLINE], ids=["no network", "offline mode"])
def test_without_a_network_a_model_comes_from_the_cache(
    environment: dict[str, str], fetch: Fetcher, publish: Publish
) -> None:
    publish({"config.json": "{}", "model.safetensors": LARGE})  # that it has no preprocessor_config.json is cached, too
    first, second = fetch(), fetch(**environment)
    assert (second.folder, second.revision, second.error) == (first.folder, first.revision, "")
    assert ["taken from the cache" in line for line in second.said] == [True] * ("HF_ENDPOINT" in environment)


def test_while_the_hub_is_in_trouble_a_model_comes_from_the_cache(
    fetch: Fetcher, hub: HubServer, publish: Publish
) -> None:
    publish(MODEL)
    first = fetch()
    hub.status = 503
    second = fetch()
    assert (second.folder, second.revision) == (first.folder, first.revision)
    assert second.said[0].startswith(f"{hub.url} is in trouble (503)")


def test_a_model_that_was_withdrawn_comes_from_the_cache(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    publish(MODEL)
    first = fetch()
    del hub.repositories[fetch.name]
    second = fetch()
    assert second.folder == first.folder
    assert second.said[0].startswith(f"there is no model {fetch.name} on {hub.url}")
    assert second.said[0].endswith(f"taken from the cache for now: {fetch.name} at {first.revision[:12]}")


def test_without_links_and_a_network_it_is_said_that_nothing_is_checked(fetch: Fetcher, publish: Publish) -> None:
    publish(MODEL)
    first, second = (fetch(HF_HUB_DISABLE_SYMLINKS="1", **more) for more in ({}, OFFLINE))
    assert second.files == first.files
    assert [line for line in first.said if "unchecked" in line] == []
    assert [line.split(" is taken unchecked")[0] for line in second.said] == [
        str(second.folder / file) for file in MODEL
    ]


def test_a_download_that_breaks_off_is_resumed(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    commit = publish({**MODEL, "model.safetensors": 12 << 20})  # the library writes 10 MiB at once
    hub.repositories[fetch.name].cut["model.safetensors"] = 11 << 20
    answer = fetch()
    if answer.error:  # older versions of huggingface_hub go on only when they are called again
        answer = fetch()
    asked = [each.headers.get("range") for each in hub.fetched(fetch.name, "model.safetensors")]
    assert asked == [None, f"bytes={10 << 20}-"]
    weights = hub.repositories[fetch.name].commits[commit] / "model.safetensors"
    assert answer.files["model.safetensors"] == weights.read_bytes()


def test_a_branch_is_fetched_anew_when_it_has_moved(fetch: Fetcher, publish: Publish) -> None:
    old = publish(MODEL)
    assert fetch().revision == old
    new = publish({**MODEL, "model.safetensors": LARGE + 1})
    assert fetch().revision == new
    assert fetch(revision=old).revision == old
    assert fetch(**NO_NETWORK).revision == new


def test_revisions_are_branches_tags_and_commits(fetch: Fetcher, publish: Publish) -> None:
    publish(MODEL)
    tagged = publish({**MODEL, "config.json": "[]"}, branch="refs/pr/1")
    by_name, by_commit = fetch(revision="refs/pr/1"), fetch(revision=tagged)
    by_address = fetch(f"https://huggingface.co/{fetch.name}/tree/refs/pr/1")
    assert {each.revision for each in (by_name, by_commit, by_address)} == {tagged}
    assert {each.name for each in (by_name, by_commit, by_address)} == {fetch.name}


def test_of_both_formats_only_safetensors_comes(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    publish({**MODEL, "pytorch_model.bin": LARGE, "model.safetensors.index.json": index("model-1.safetensors")})
    assert set(fetch().files) == set(MODEL)
    assert hub.fetched(fetch.name, ".bin") == []


def test_weights_in_parts_come_with_their_index(fetch: Fetcher, publish: Publish) -> None:
    parts = {"model-1-of-2.safetensors": LARGE, "model-2-of-2.safetensors": 2 * LARGE}
    files = {**CONFIG, "model.safetensors.index.json": index(*parts, *parts), **parts}
    publish({**files, "pytorch_model.bin": LARGE})
    answer = fetch()
    assert set(answer.files) == set(files)
    assert answer.said[0].endswith(": 2 files, 0.9 MB")


@pytest.mark.parametrize(
    "files",
    [
        {"pytorch_model.bin": LARGE},
        {"pytorch_model.bin.index.json": index("pytorch_model-1.bin"), "pytorch_model-1.bin": LARGE},
    ],
    ids=["whole", "in parts"],
)
def test_without_safetensors_the_older_format_comes(
    files: dict[str, str | int], fetch: Fetcher, publish: Publish
) -> None:
    publish({**CONFIG, **files})
    assert set(fetch().files) == {*CONFIG, *files}


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_other_bytes_than_the_hub_names_are_refused_each_time(
    links: bool, fetch: Fetcher, hub: HubServer, publish: Publish
) -> None:
    publish(MODEL)
    environment = {} if links else {"HF_HUB_DISABLE_SYMLINKS": "1"}
    hub.repositories[fetch.name].altered.add("model.safetensors")
    first, second = fetch(**environment), fetch(**environment)
    assert "model.safetensors has the hash " in first.error
    assert first.error == second.error
    hub.repositories[fetch.name].altered.clear()
    Path(first.error.split("; delete ")[1].removesuffix(" and run this again")).unlink()
    assert set(fetch(**environment).files) == set(MODEL)


@pytest.mark.parametrize("file", MODEL)
def test_a_file_that_changed_in_the_cache_is_refused_without_a_network(
    file: str, fetch: Fetcher, publish: Publish
) -> None:
    publish(MODEL)
    damaged = (fetch().folder / file).resolve()
    damaged.write_bytes(b"?" + damaged.read_bytes()[1:])
    assert f"delete {damaged} and run this again" in fetch(**OFFLINE).error


def test_a_private_model_comes_with_the_users_token(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    publish(MODEL)
    hub.repositories[fetch.name].token = "hf_secret"
    assert fetch(HF_TOKEN="hf_secret").error == ""
    elsewhere = [each for each in hub.requests if each.path.startswith("/store/")]
    assert elsewhere != []
    assert [each for each in elsewhere if "authorization" in each.headers] == []


@pytest.mark.parametrize(("environment", "told"), [({}, False), ({"HF_HUB_DISABLE_TELEMETRY": "0"}, True)])
def test_the_hub_is_told_nothing_about_the_machine(
    environment: dict[str, str], told: bool, fetch: Fetcher, hub: HubServer, publish: Publish
) -> None:
    publish(MODEL)
    fetch(**environment)
    agents = [each.headers["user-agent"] for each in hub.requests if "/resolve/" in each.path]
    assert agents != []
    assert ["torch/" in agent for agent in agents] == [told] * len(agents)
    if not told:
        assert {each.path for each in hub.requests if fetch.name not in each.path} == set()


def test_ctrl_c_ends_a_download(fetch: Fetcher, hub: HubServer, publish: Publish) -> None:
    publish(MODEL)
    hub.repositories[fetch.name].hanging.add("model.safetensors")
    program = """if True:
        import functools, sys
        from pem_edge.pem.checkpoints import hub
        from pem_edge.runtime.cli import console
        from pem_edge.runtime.cli.parser import Parser
        parser = Parser("fetch")
        parser.add_argument("name")
        say = functools.partial(console.say, "fetch")
        sys.exit(console.run(parser, lambda options: options.name, lambda name: hub.fetch(name, None, say)))
        """
    command = [sys.executable, "-c", program, fetch.name, "--json"]
    environment = hub.environment(fetch.home)
    with started(command, env=environment, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("fetch: fetching")
        assert hub.await_request("/store/")
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().splitlines()[-1] == "fetch: interrupted"
        assert process.wait() == 130
