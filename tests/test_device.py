"""kit.device and kit.threads: names of devices and dtypes, evaluation mode, how many processors there are."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from kit.device import evaluation, pick_device, pick_dtype
from kit.threads import SPIN_COUNT, choose_waiting, cpu_quota, crowded, thread_count
from kit.types import KitError

CPU = torch.device("cpu")


def test_devices_and_dtypes_by_name():
    assert pick_device("cpu") == CPU and pick_device(CPU) == CPU
    assert pick_dtype("auto", CPU) == torch.float32 and pick_dtype("bfloat16", CPU) == torch.bfloat16
    assert pick_dtype(torch.float64, CPU) == torch.float64 and pick_dtype("float16", CPU) == torch.float16


@pytest.mark.parametrize("wrong", ["fpga", "meta", "nonsense", "cuda:99", 2.5, None])
def test_devices_that_are_none(wrong):
    with pytest.raises(KitError, match="device: wanted"):
        pick_device(wrong)


@pytest.mark.parametrize("wrong", ["float16", "int8", torch.int8, torch.float16, None, 3])
def test_dtypes_that_are_none(wrong):
    with pytest.raises(KitError, match=r"dtype: wanted one of auto, float32, bfloat16, float64 \(T5 overflows"):
        pick_dtype(wrong, CPU, float16=False)


def test_evaluation_is_undone_part_by_part():
    module = nn.Sequential(nn.Dropout(), nn.Dropout()).train()
    module[1].eval()
    with pytest.raises(ZeroDivisionError), evaluation(module):
        assert not module[0].training and not torch.is_grad_enabled()
        raise ZeroDivisionError
    assert module.training and module[0].training and not module[1].training and torch.is_grad_enabled()


def groups(tmp_path, lines, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "self").write_text(lines)
    return cpu_quota(tmp_path, tmp_path / "self")


@pytest.mark.parametrize(
    ("lines", "files", "wanted"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        (
            "0::/user/one\n",
            {"cpu.max": "max 100000", "user/cpu.max": "150000 100000", "user/one/cpu.max": "max 1"},
            1.5,
        ),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "800000 100000"}, 4.0),
        ("4:cpu,cpuacct:/docker/x\n", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3.0),
        ("4:cpu:/\n5:memory:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
        ("", {}, None),
    ],
)
def test_the_quota_of_a_container(tmp_path, lines, files, wanted):
    assert groups(tmp_path, lines, files) == wanted


def test_a_machine_without_control_groups(tmp_path):
    assert cpu_quota(tmp_path, tmp_path / "none") is None


def test_threads_are_the_quota_rounded_down_and_at_least_one(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    for quota, wanted in {None: 8, 2.7: 2, 0.5: 1, 100.0: 8}.items():
        monkeypatch.setattr("kit.threads.cpu_quota", lambda quota=quota: quota)
        assert thread_count() == wanted


def threads_after(code, quota, **environment):
    setting = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    lines = f"""
import os, kit.threads
os.sched_getaffinity = lambda _: set(range(64))
kit.threads.cpu_quota = lambda: {quota}
{code}
import kit.device, torch
print(torch.get_num_threads())
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, env=setting, check=True)
    return int(done.stdout)


@pytest.mark.skipif(os.cpu_count() < 2, reason="torch begins with one thread here")
def test_torch_gets_the_containers_threads_unless_the_user_chose():
    assert threads_after("import torch; torch.set_num_threads(64)", 2.0) == 2  # as torch begins on such a host
    assert threads_after("import torch; torch.set_num_threads(5)", 2.0) == 5
    assert threads_after("", 1.0) == 1
    assert threads_after("", 1.0, OMP_NUM_THREADS="2") == 2


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("busy", "before", "after"),
    [
        (False, {}, (None, SPIN_COUNT)),
        (True, {}, ("PASSIVE", None)),
        (True, {"GOMP_SPINCOUNT": SPIN_COUNT}, ("PASSIVE", None)),  # chosen by the process that started this one
        (True, {"GOMP_SPINCOUNT": "7"}, (None, "7")),
        (True, {"OMP_WAIT_POLICY": "ACTIVE"}, ("ACTIVE", None)),
    ],
)
def test_waiting_threads_sleep_on_a_crowded_machine_unless_the_user_chose(monkeypatch, busy, before, after):
    monkeypatch.setattr("kit.threads.crowded", lambda: busy)
    monkeypatch.setattr("kit.threads.sys.modules", {})
    monkeypatch.setattr("kit.threads.os.environ", environment := dict(before))
    choose_waiting()
    assert tuple(environment.get(name) for name in WAITING) == after


def test_nothing_is_chosen_when_torch_is_loaded(monkeypatch):
    monkeypatch.setattr("kit.threads.os.environ", environment := {})
    choose_waiting()
    assert environment == {}


@pytest.mark.parametrize(("others", "load", "expected"), [(1, 0.5, False), (2, 0.5, True), (0, 2.1, True)])
def test_a_machine_is_crowded_when_others_want_all_processors(monkeypatch, tmp_path, others, load, expected):
    (tmp_path / "stat").write_text(f"cpu 1 2\nprocs_running {1 + others}\nprocs_blocked 0\n")
    monkeypatch.setattr("kit.threads.os.cpu_count", lambda: 2)
    monkeypatch.setattr("kit.threads.os.getloadavg", lambda: (load, 0, 0))
    assert crowded(tmp_path / "stat") is expected


def test_a_system_that_does_not_say_what_runs_is_not_crowded(monkeypatch, tmp_path):
    monkeypatch.setattr("kit.threads.os.getloadavg", lambda: (0, 0, 0))
    assert not crowded(tmp_path / "none")


def test_faiss_gets_no_more_threads_than_there_are_processors(monkeypatch):
    faiss = pytest.importorskip("faiss")
    from kit.index.kinds import load_faiss

    before = faiss.omp_get_max_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        faiss.omp_set_num_threads(7)
        monkeypatch.setattr("kit.index.kinds.thread_count", lambda: 1)
        assert load_faiss().omp_get_max_threads() == 1
        faiss.omp_set_num_threads(7)
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        assert load_faiss().omp_get_max_threads() == 7
    finally:
        faiss.omp_set_num_threads(before)
