"""What XPK makes of launch/xpk.sh, without a cloud account: `make manifests`.

XPK needs an environment of its own, so that the other tests do without it.
"""

import os
import pathlib
import re
import shutil
import subprocess
from unittest import mock

import pytest
import yaml

from ssljax.run.hosts import start

ROOT = pathlib.Path(__file__).parent.parent
SHAPES = {
    # Options; slices, hosts of a slice, chips of a host.
    "v6e-16": (["--tpu-type=v6e-16"], 1, 4, 4),
    "two-v6e-16": (["--tpu-type=v6e-16", "--num-slices=2"], 2, 4, 4),
    "tpu7x": (["--tpu-type=tpu7x-2x2x2"], 1, 2, 4),
    "h100": (["--device-type=h100-mega-80gb-8", "--num-nodes=2"], 1, 2, 8),
}
OPTIONS = [
    "--config=simclr/imagenet",
    "--config.evals.final=('linear',)",
    "--workdir=/a b",
]

if shutil.which("xpk") is None:
    pytest.skip("XPK is not on the PATH: `make manifests`", allow_module_level=True)


@pytest.fixture(scope="module", params=SHAPES)
def written(request, tmp_path_factory):
    """The manifest of a shape, and the shape."""
    options, *shape = SHAPES[request.param]
    folder = pathlib.Path(os.environ.get("MANIFESTS", tmp_path_factory.getbasetemp())).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{request.param}.yaml"
    path.unlink(missing_ok=True)
    run = subprocess.run(
        [
            *("launch/xpk.sh", "--cluster=cluster", "--project=project", "--zone=us-central1-a"),
            *(f"--workload={request.param}", "--docker-image=image", *options),
            *("--dry-run", "--skip-validation", f"--output-manifest-file={path}", "--", *OPTIONS),
        ],
        cwd=ROOT,
        env=os.environ | {"TELEMETRY_ENABLED": "false", "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    return yaml.safe_load(path.read_text()), shape


def _job(manifest: dict) -> tuple[dict, dict, dict]:
    """The job of a manifest, its pod, and the container of the run."""
    [replicated] = manifest["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    return job, pod, container


def _expanded(variables: list[dict], **fields: str) -> dict[str, str]:
    """A container's variables as Kubernetes sets them: in order, `$(NAME)` by what came before."""
    values: dict[str, str] = {}
    for variable in variables:
        if "valueFrom" in variable:
            path = variable["valueFrom"]["fieldRef"]["fieldPath"]
            values[variable["name"]] = fields[
                re.search(r"/([\w-]+)'\]$", path)[1].replace("-", "_")
            ]
        else:
            values[variable["name"]] = re.sub(
                r"\$\((\w+)\)", lambda m: values.get(m[1], m[0]), variable["value"]
            )
    return values


def test_all_hosts_of_all_slices_run_the_image_on_all_of_their_chips(written):
    manifest, (slices, hosts, chips) = written
    job, _, container = _job(manifest)
    assert manifest["spec"]["replicatedJobs"][0]["replicas"] == slices
    assert job["parallelism"] == job["completions"] == hosts
    assert container["image"] == "image"
    assert list(container["resources"]["limits"].values()) == [chips]


def test_a_terminated_run_is_restarted_and_a_mistaken_one_is_not(written):
    manifest, _ = written
    job, pod, container = _job(manifest)
    assert manifest["spec"]["failurePolicy"]["maxRestarts"] == 50
    [rule] = manifest["spec"]["failurePolicy"]["rules"]
    assert rule["action"] == "FailJobSet"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    [rule] = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["operator"] == "NotIn"
    assert rule["onExitCodes"]["containerName"] == container["name"]
    restarted = set(rule["onExitCodes"]["values"])
    # Terminated with its state saved, killed, aborted by JAX when another host is gone.
    assert {143, 137, 134} <= restarted
    assert not {1, 2} & restarted
    assert pod["restartPolicy"] == "Never"


def test_sigterm_leaves_five_minutes_for_saving_and_reaches_the_run(written):
    _, pod, container = _job(written[0])
    assert pod["terminationGracePeriodSeconds"] == 300
    assert container["command"][:2] == ["bash", "-c"]
    assert re.search(r"[(;] ?exec python -m ssljax\.main .*\) & PID=\$!", _run_line(container))


def _run_line(container: dict) -> str:
    """The line of a container's script that starts the run, in the background."""
    [line] = [line for line in container["command"][-1].splitlines() if "ssljax.main" in line]
    return line


@pytest.fixture
def started(tmp_path):
    """Runs a shell command; returns the arguments and the variables that its `python` gets."""
    python = tmp_path / "python"
    python.write_text('#!/bin/bash\nprintf "%s\\0" "$@"; env -0\n')
    python.chmod(0o755)

    def start(command: str, variables: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        output = subprocess.run(
            ["bash", "-c", command],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"} | variables,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        count = output.index(OPTIONS[-1]) + 1
        return output[:count], dict(v.split("=", 1) for v in output[count:] if v)

    return start


def test_the_processes_find_each_other_and_get_the_options(written, started, monkeypatch):
    manifest, (_, hosts, _) = written
    *_, container = _job(manifest)
    join = mock.Mock()
    monkeypatch.setattr("jax.distributed.initialize", join)
    monkeypatch.setattr("ssljax.run.hosts._wait_for_first", lambda address: None)
    for host in range(hosts):
        set_by_kubernetes = _expanded(
            container["env"] or [],
            jobset_name=manifest["metadata"]["name"],
            replicatedjob_name=manifest["spec"]["replicatedJobs"][0]["name"],
            job_completion_index=str(host),
        )
        arguments, variables = started(f"{_run_line(container)} wait $PID", set_by_kubernetes)
        told = {name: value for name, value in variables.items() if name.startswith("JAX_")}
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        start("--distributed" in arguments)
        if "google.com/tpu" in container["resources"]["limits"]:
            # JAX asks GKE itself, whose answer these variables would override.
            assert arguments == ["-m", "ssljax.main", "--distributed", *OPTIONS]
            assert not told
            join.assert_called_with(shutdown_timeout_seconds=mock.ANY)
        else:
            assert arguments == ["-m", "ssljax.main", *OPTIONS]
            join.assert_called_with(
                coordinator_address="h100-slice-job-0-0.h100:6002",
                num_processes=hosts,
                process_id=host,
                shutdown_timeout_seconds=mock.ANY,
            )
