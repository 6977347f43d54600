"""The launch scripts: what they start, with what, and what they answer.

The programs that they call are replaced by short ones that note how they were called.
"""

import importlib.metadata
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
LAUNCH = ROOT / "launch"
SCRIPTS = sorted([*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")])
# What a command line may hold and a shell, YAML or Kubernetes would each like to change.
HARD = ["--workdir=/a b/$(HOME)/$HOME", "", "('fid','kid')", 'a"b\\c', "{x}", "~", "größe\n-e *"]

_NOTE = """\
import json, os, sys
with open({notes!r}, "a") as file:
    file.write(json.dumps([{name!r}, sys.argv[1:], dict(os.environ)]) + "\\n")
"""


class Stage:
    """A PATH on which some programs only note how they are called."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.notes = folder / "bin", folder / "notes"
        self.folder.mkdir()
        for tool in ("bash", "grep", "seq"):
            (self.folder / tool).symlink_to(shutil.which(tool))

    def program(self, name: str, does: str = "") -> None:
        """Puts a program on the PATH: it notes its call, then runs these lines of Python."""
        path = self.folder / name
        note = _NOTE.format(notes=str(self.notes), name=name)
        path.write_text(f"#!{sys.executable} -SE\n{note}{does}\n")
        path.chmod(0o755)

    def start(self, script: str, *arguments: str, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", str(LAUNCH / script), *arguments],
            env={"PATH": str(self.folder), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str, **variables: str) -> tuple[int, str]:
        process = self.start(script, *arguments, **variables)
        _, complaint = process.communicate(timeout=60)
        return process.returncode, complaint

    def calls(self, name: str) -> list[tuple[list[str], dict[str, str]]]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        calls = [json.loads(line) for line in lines]
        return [(arguments, variables) for who, arguments, variables in calls if who == name]


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash_and_answers_a_call_without_arguments_in_one_sentence(stage, script):
    subprocess.run(["bash", "-n", script], check=True)
    status, complaint = stage.run(script.name)
    assert status == 2
    assert re.fullmatch(rf"launch/{script.name}: \S.*\.\n", complaint)


@pytest.mark.parametrize(
    ("script", "arguments", "variables", "told"),
    [
        ("local.sh", ["two", "--config", "x"], {}, "number of processes"),
        ("local.sh", ["2"], {}, "--config and --workdir"),
        ("local.sh", ["2", "--config", "x"], {"DEVICES": "many"}, "DEVICES=many"),
        ("local.sh", ["2", "--config", "x"], {}, "no python"),
        ("slurm.sbatch", ["--config", "x"], {}, "sbatch"),
        ("tpu_vm.sh", ["--config", "x"], {"GROUP": "slice"}, "ZONE"),
        ("tpu_vm.sh", [], {"GROUP": "slice", "ZONE": "z"}, "--config and --workdir"),
        ("tpu_vm.sh", ["--config", "x"], {"GROUP": "slice", "ZONE": "z"}, "gcloud"),
        ("tpu_pod_legacy.sh", ["--config", "x"], {"ZONE": "z"}, "TPU"),
        ("tpu_pod_legacy.sh", ["--config", "x"], {"TPU": "t", "ZONE": "z"}, "gcloud"),
        ("xpk.sh", ["--tpu-type=v6e-16", "--config", "x"], {}, "stands a --"),
        ("xpk.sh", ["--tpu-type=v6e-16", "--", "--config=x"], {}, "--docker-image"),
        ("xpk.sh", ["--docker-image=i", "--", "--config=x"], {}, "--tpu-type"),
        ("xpk.sh", ["--docker-image=i", "--device-type", "n2-standard-4-1", "--", "x"], {}, "n2-"),
        ("xpk.sh", ["--command", "python", "--", "--config=x"], {}, "after a --"),
        ("xpk.sh", ["--docker-image", "i", "--tpu-type", "v4-8", "--", "x"], {}, "pip install xpk"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(stage, script, arguments, variables, told):
    status, complaint = stage.run(script, *arguments, **variables)
    assert status == 2
    assert told in complaint
    assert complaint.count("\n") == 1


def test_local_processes_share_a_coordinator_and_each_has_a_device_of_its_own(stage):
    stage.program("python")
    status, complaint = stage.run("local.sh", "3", *HARD, DEVICES="2", PORT="4321")
    assert (status, complaint) == (0, "")
    calls = stage.calls("python")
    assert [arguments for arguments, _ in calls] == [["-m", "ssljax.main", *HARD]] * 3
    for name in ("JAX_PROCESS_ID", "JAX_LOCAL_DEVICE_IDS"):
        assert sorted(variables[name] for _, variables in calls) == ["0", "1", "2"]
    for _, variables in calls:
        assert variables["JAX_COORDINATOR_ADDRESS"] == "localhost:4321"
        assert variables["JAX_NUM_PROCESSES"] == "3"
        assert "--xla_force_host_platform_device_count=2" in variables["XLA_FLAGS"]


def test_local_ends_with_the_worst_status_of_its_processes(stage):
    stage.program("python", "sys.exit((2, 134, 1)[int(os.environ['JAX_PROCESS_ID'])])")
    assert stage.run("local.sh", "3", "--config=x")[0] == 134


# Notes that it listens to SIGTERM, then that it has saved; the first process takes longest to.
_SAVES = """
import signal, time
def save(*_):
    time.sleep(0.0 if os.environ["JAX_PROCESS_ID"] == "1" else 0.7)
    open({saved!r} + str(os.getpid()), "w").close()
    os._exit(143)
signal.signal(signal.SIGTERM, save)
open({ready!r} + str(os.getpid()), "w").close()
time.sleep(30)
"""


def _until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_sigterm_reaches_every_local_process_and_the_script_waits_until_all_have_saved(
    stage, tmp_path
):
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    stage.program("python", _SAVES.format(ready=str(ready), saved=str(saved)))
    with stage.start("local.sh", "2", "--config=x") as process:
        _until(lambda: len(list(tmp_path.glob("ready*"))) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        assert len(list(tmp_path.glob("saved*"))) == 2


# Bash counts on from SECONDS: the job has run for an hour.
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_CPUS_ON_NODE": "12",
    "SLURM_NTASKS_PER_NODE": "1",
    "SECONDS": "3600",
}


@pytest.mark.parametrize(("status", "again"), [(0, 0), (1, 0), (2, 0), (143, 1)])
def test_slurm_queues_only_a_terminated_run_again(stage, status, again):
    for name in ("python", "scontrol"):
        stage.program(name)
    stage.program("srun", f"sys.exit({status})")
    assert stage.run("slurm.sbatch", "--config=x", **SLURM)[0] == status
    assert [arguments for arguments, _ in stage.calls("scontrol")] == [["requeue", "7"]] * again


def test_slurm_does_not_queue_a_run_for_ever_that_has_no_time_to_train(stage):
    for name in ("python", "scontrol"):
        stage.program(name)
    stage.program("srun", "sys.exit(143)")
    status, complaint = stage.run("slurm.sbatch", "--config=x", **SLURM | {"SECONDS": "0"})
    assert status == 2
    assert "--time" in complaint
    assert not stage.calls("scontrol")


@pytest.mark.parametrize(("gpus", "devices"), [("", None), ("1", "0"), ("4", "0,1,2,3")])
def test_slurm_gives_a_process_the_cores_and_the_gpus_of_its_node(stage, gpus, devices):
    for name in ("python", "srun"):
        stage.program(name)
    more = {"SLURM_GPUS_ON_NODE": gpus} if gpus else {}
    assert stage.run("slurm.sbatch", *HARD, **SLURM, **more) == (0, "")
    [(arguments, variables)] = stage.calls("srun")
    start = ["--cpus-per-task=12", "python", "-m", "ssljax.main", "--distributed"]
    assert arguments == [*start, *HARD]
    assert variables.get("JAX_LOCAL_DEVICE_IDS") == devices


def test_slurm_with_several_tasks_a_node_is_refused(stage):
    for name in ("python", "srun"):
        stage.program(name)
    variables = SLURM | {"SLURM_NTASKS_PER_NODE": "8"}
    status, complaint = stage.run("slurm.sbatch", "--config=x", **variables)
    assert status == 2
    assert "--ntasks-per-node=8" in complaint


# A gcloud that runs on this machine what it is asked to run on another.
_GCLOUD = """
if "list-instances" in sys.argv:
    print("slice-a\\nslice-b")
else:
    os.environ["JAX_PROCESS_ID"] = "1" if "slice-b" in sys.argv else "0"
    os.chdir({home!r})
    os.execvp("bash", ["bash", "-c", sys.argv[sys.argv.index("--command") + 1]])
"""


@pytest.fixture
def vms(stage, tmp_path):
    """Hosts with the checkout in ~/ssljax and an environment in it."""
    stage.program("gcloud", _GCLOUD.format(home=str(tmp_path)))
    stage.program("python")
    environment = tmp_path / "ssljax" / ".venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").symlink_to(stage.folder / "python")
    return stage


def test_the_vms_of_a_slice_all_start_the_same_command(vms):
    assert vms.run("tpu_vm.sh", *HARD, GROUP="slice", ZONE="z") == (0, "")
    expected = ["-m", "ssljax.main", "--distributed", *HARD]
    assert [arguments for arguments, _ in vms.calls("python")] == [expected] * 2
    hosts = {arguments[2] for arguments, _ in vms.calls("gcloud") if arguments[1] == "ssh"}
    assert hosts == {"slice-a", "slice-b"}


def test_sigterm_is_passed_on_to_every_vm(vms, tmp_path):
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    vms.program("python", _SAVES.format(ready=str(ready), saved=str(saved)))
    # Both hosts are this one, so that each of the two calls finds both runs.
    vms.program(
        "pkill",
        f"import glob, signal\nfor path in glob.glob({str(ready)!r} + '*'):\n"
        f"    os.kill(int(path[{len(str(ready))}:]), signal.SIGTERM)\n    os.remove(path)",
    )
    with vms.start("tpu_vm.sh", "--config=x", GROUP="slice", ZONE="z") as process:
        _until(lambda: len(list(tmp_path.glob("ready*"))) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        assert len(list(tmp_path.glob("saved*"))) == 2
    pattern = vms.calls("pkill")[0][0][-1]
    assert re.search(pattern, ".venv/bin/python -m ssljax.main --distributed")
    assert not re.search(pattern, f"bash -c pkill --signal TERM --oldest --full '{pattern}'")


def test_the_legacy_script_starts_the_same_command_on_all_workers(vms):
    assert vms.run("tpu_pod_legacy.sh", *HARD, TPU="pod", ZONE="z") == (0, "")
    [(arguments, _)] = vms.calls("gcloud")
    assert arguments[:5] == ["compute", "tpus", "tpu-vm", "ssh", "pod"]
    assert "--worker=all" in arguments
    expected = ["-m", "ssljax.main", "--distributed", *HARD]
    assert [arguments for arguments, _ in vms.calls("python")] == [expected]


def _command_of(call: list[str]) -> str:
    [command] = [a.removeprefix("--command=") for a in call if a.startswith("--command=")]
    return command


@pytest.mark.parametrize(
    ("device", "distributed"),
    [
        ("--tpu-type=v6e-16", True),
        ("--device-type=tpu7x-16", True),
        ("--device-type=b200-8", False),
    ],
)
def test_xpk_hands_every_argument_on_unchanged(stage, device, distributed):
    stage.program("xpk")
    stage.program("python")
    mine = ["--cluster=c", "--docker-image", "image", device, "--max-restarts=7"]
    assert stage.run("xpk.sh", *mine, "--", *HARD) == (0, "")
    [(arguments, _)] = stage.calls("xpk")
    assert arguments[:2] == ["workload", "create"]
    assert "--termination-grace-period-seconds=300" in arguments
    # Of two values for one option XPK takes the last.
    assert arguments[-6:-1] == mine
    command = _command_of(arguments)
    # XPK writes it between double quotes into YAML, and Kubernetes looks for $(NAME) in it.
    assert isinstance(yaml.safe_load(f'"{command}"'), str)
    assert "$(" not in command
    assert "\n" not in command
    # XPK passes SIGTERM to its child alone, which must not be a shell.
    assert re.search(r"(^|; )exec python -m ssljax\.main ", command)
    subprocess.run(["bash", "-c", command], env={"PATH": str(stage.folder)}, check=True)
    [(started, _)] = stage.calls("python")
    assert started == ["-m", "ssljax.main", *["--distributed"] * distributed, *HARD]


def test_a_jobset_without_xpk_restarts_what_may_go_on_and_gives_up_on_mistakes():
    documents = list(yaml.safe_load_all((LAUNCH / "gke_jobset.yaml").read_text()))
    *rights, jobset = documents
    assert [document["kind"] for document in rights] == ["ServiceAccount", "Role", "RoleBinding"]
    policy = jobset["spec"]["failurePolicy"]
    assert policy["maxRestarts"] > 0
    assert policy["rules"][0]["action"] == "FailJobSet"
    [replicated] = jobset["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert job["parallelism"] == job["completions"]
    assert job["backoffLimit"] == 0
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    [rule] = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {
        "containerName": container["name"],
        "operator": "In",
        "values": [1, 2],
    }
    assert pod["terminationGracePeriodSeconds"] == 300
    assert pod["restartPolicy"] == "Never"
    assert container["args"][0] == "--distributed"
    assert pod["serviceAccountName"] == rights[0]["metadata"]["name"]
    # 4x4 chips, as many as the hosts have together.
    chips = [int(n) for n in pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")]
    per_host = container["resources"]["limits"]["google.com/tpu"]
    assert chips[0] * chips[1] == job["parallelism"] * per_host


def test_an_image_has_what_the_package_needs_and_nothing_else_of_the_checkout():
    dockerfile = (LAUNCH / "Dockerfile").read_text()
    sources = [
        source
        for line in re.findall(r"^COPY (.*)", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    ignored, *allowed = [
        line
        for line in (LAUNCH / "Dockerfile.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert ignored == "*"
    kept = {line[1:] for line in allowed if line.startswith("!")}
    assert {source.split("/")[0] for source in sources} == kept
    assert all((ROOT / source).exists() for source in sources)
    assert re.search(r"^ARG USER=([1-9]\d*)$", dockerfile, re.MULTILINE)
    assert "--constraint requirements.lock" in dockerfile


def test_the_extras_for_accelerators_are_those_of_jax():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    known = importlib.metadata.metadata("jax").get_all("Provides-Extra")
    for name in ("cuda12", "cuda13", "k8s", "tpu"):
        assert extras[name] == [f"jax[{name}]"]
        assert name in known
    told = re.findall(r"pip install '\.\[(\w+)\]'|'\.\[(\w+)\]'", (ROOT / "README.md").read_text())
    assert {name for pair in told for name in pair if name} <= set(extras)
